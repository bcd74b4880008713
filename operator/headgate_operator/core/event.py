"""Something worth telling about a ModelDeployment, once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a ModelDeployment, once. `warning` False = Normal."""

    reason: str
    message: str
    warning: bool = False
