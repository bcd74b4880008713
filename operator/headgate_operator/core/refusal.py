"""The other answer to a command."""

from __future__ import annotations


class RefusedCommandError(Exception):
    """The command makes no sense in the present state; the message tells the person why."""
