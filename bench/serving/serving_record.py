"""All that one run found, as it goes into the raw JSON and as the page is written from it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from serving_liveness import Liveness
from serving_musts import V2, Goal, Measured, goals
from serving_samples import Sample


@dataclass
class Start:
    """Of one server with the logistic regression. Memory is read after a load, alone on the machine."""

    seconds: list[float] = field(default_factory=list)
    rss_mib: float | None = None
    pss_mib: float | None = None

    @property
    def middle(self) -> float | None:
        return median(self.seconds) if self.seconds else None


@dataclass
class Record:
    at: str
    rounds: int
    seconds: float
    machine: dict[str, Any]
    stolen_ticks: int = 0
    titles: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    packages: dict[str, list[str]] = field(default_factory=dict)
    errors: dict[str, list[str]] = field(default_factory=dict)
    starts: dict[str, Start] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    liveness: dict[str, list[Liveness]] = field(default_factory=dict)

    def start(self, name: str) -> Start:
        return self.starts.setdefault(name, Start())

    def failed(self, name: str, what: str, error: object) -> None:
        """Without the paths of this machine, which are nobody's affair."""
        text = f"{what}: {error}".replace(str(Path.home()), "~")
        self.errors.setdefault(name, []).append(text)

    def worst_liveness(self, name: str) -> float | None:
        return max((look.p99_ms for look in self.liveness.get(name, [])), default=None)

    def goals(self) -> list[Goal]:
        start = self.starts.get(V2, Start())
        return goals(self.samples, Measured(start.middle, start.rss_mib, self.worst_liveness(V2)))

    def raw(self) -> str:
        """A sample a line, so that two runs can be compared by line."""
        document = asdict(self)
        samples = ",\n".join(f"  {json.dumps(sample)}" for sample in document.pop("samples"))
        document["goals"] = [asdict(goal) | {"verdict": goal.verdict} for goal in self.goals()]
        return f'{json.dumps(document, indent=1)[:-2]},\n "samples": [\n{samples}\n ]\n}}\n'
