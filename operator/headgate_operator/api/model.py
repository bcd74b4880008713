"""Which model a ModelDeployment asks for, and the one immutable version that answers.

The reference (`ModelRef`) may move; an `Identity` never does: numbers restart and artifacts are overwritten in a
registry, so a version is only the same version where source and creation time agree as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ByVersion:
    version: str

    def __str__(self) -> str:
        return f"/{self.version}"


@dataclass(frozen=True, slots=True)
class ByAlias:
    alias: str

    def __str__(self) -> str:
        return f"@{self.alias}"


@dataclass(frozen=True, slots=True)
class ByStage:
    """The newest version in a stage. MLflow calls stages deprecated, and serves them."""

    stage: str

    def __str__(self) -> str:
        return f"/{self.stage}"


@dataclass(frozen=True, slots=True)
class ByLatest:
    """The newest version that carries all of these tags."""

    tags: tuple[tuple[str, str], ...] = ()  # sorted by key

    def __str__(self) -> str:
        told = ",".join(f"{key}={value}" for key, value in self.tags)
        return f" latest({told})" if told else " latest"


ModelRef = ByVersion | ByAlias | ByStage | ByLatest
STAGES = ("None", "Staging", "Production", "Archived")


def brief(ref: ModelRef) -> str:
    """What follows the number where space is short; empty for a number that says all."""
    match ref:
        case ByVersion():
            return ""
        case ByAlias(alias):
            return f"@{alias}"
        case ByStage(stage):
            return stage
        case ByLatest():
            return "latest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One immutable model version. `run_id` is for people; it takes no part in any comparison of identities."""

    registry: str
    name: str
    version: str
    source: str
    created_at: datetime  # UTC, whole milliseconds: what the registry gives
    run_id: str = ""
