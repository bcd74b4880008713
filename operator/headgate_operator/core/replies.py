"""What a webhook answered, as far as it matters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Replied:
    """It answered. `approve` is False where it said so, and where it was only told something."""

    approve: bool
    message: str = ""


@dataclass(frozen=True, slots=True)
class NoReply:
    """Nothing that counts as an answer; the message is ours."""

    message: str


Reply = Replied | NoReply
