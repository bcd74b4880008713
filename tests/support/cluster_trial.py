"""One scenario of the end-to-end tests: a subject, a load on it, and what must hold when it is over.

Nothing lost, the right version in every answer, a true status, nothing left behind once the ModelDeployment is
deleted, and no error in the operator's log. A test says only what is done and what differs from that.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster_load import Answer, Load
from cluster_record import Row, Transition, kinds
from cluster_subject import Subject

SETTLE_SECONDS = 60.0
AT_REST = {"Ready": "True", "Available": "True", "UpToDate": "True", "Stalled": "False", "Reconciling": "False"}


@dataclass(frozen=True)
class _Move:
    """When the user acted, when status said so, and from when on all new connections led to the new version."""

    old: str
    new: str
    acted: float
    told: float
    moved: float
    rollback: bool


class Trial:
    def __init__(self, test: str, subject: Subject) -> None:
        self.subject = subject
        self.row = Row(test)
        self.load: Load | None = None
        self._moves: list[_Move] = []
        self._conditions: dict[str, str] = dict(AT_REST)
        self._excused = ""
        self._failing: tuple[str, str] | None = None
        self._expected_lines: tuple[str, ...] = ()

    # -- what a test says -----------------------------------------------------------------------------------

    @contextmanager
    def loaded(self, *options: str, sends: dict[str, Any] | None = None) -> Iterator[Load]:
        """Requests from inside and outside, counted from the first answers on until the end of the block."""
        with self.subject.load(*options, sends=sends) as load:
            self.load = load
            yield load

    @contextmanager
    def transition(self, old: str, new: str, *, rollback: bool = False) -> Iterator[None]:
        """Inside, the user acts and status says so; when it is left, all new connections lead to `new`."""
        acted = time.time()
        yield
        told = time.time()
        assert self.load is not None, "a transition is measured by a load"
        self.answered_by(new)
        self._moves.append(_Move(old, new, acted, told, time.time(), rollback))

    def answered_by(self, version: str, *, pooled: bool = False) -> None:
        """New connections, or with `pooled` those that were kept alive, lead to this version alone."""
        assert self.load is not None
        load = self.load
        load.until(
            lambda: load.answered_by(version, pooled=pooled), f"version {version} answers", within=SETTLE_SECONDS
        )

    def rests_with(self, **conditions: str) -> None:
        """Status of conditions at the end, where it is not that of a deployment at rest."""
        self._conditions |= conditions

    def excuse(self, why: str) -> None:
        """Requests may be lost here: a pod dies without a warning. They are counted, and the reason is told."""
        self._excused = why

    def expect_failures(self, version: str, beginning: str) -> None:
        """What this version itself answers so is its own fault, and counted apart from what is lost on the way."""
        self._failing = (version, beginning)

    @property
    def failures(self) -> list[Answer]:
        """What the version that is expected to fail answered so."""
        if self.load is None or self._failing is None:
            return []
        version, beginning = self._failing
        return [a for a in self.load.lost if a.version == version and a.lost.startswith(beginning)]

    @property
    def lost(self) -> list[Answer]:
        own = set(self.failures)
        return [answer for answer in self.load.lost if answer not in own] if self.load is not None else []

    def remark(self, text: str) -> None:
        self.row.remarks.append(text)

    def expect_lines(self, *parts: str) -> None:
        """Alarming lines of the operator's log that are in order here, by a part of each."""
        self._expected_lines += parts

    # -- what must hold -------------------------------------------------------------------------------------

    def finish(self) -> None:
        self._measure()
        self.row.keep()
        if self.load is not None and not self._excused:
            assert self.lost == [], f"{kinds(a.lost for a in self.lost)}\n{self.load.told()}"
        self._each_answer_was_due()
        self._status_is_true()
        self.leaves_nothing()
        self._the_log_is_quiet()

    def leaves_nothing(self) -> None:
        """Deleted, it is gone with all its children. Pods that still end what they were doing are looked at last."""
        iris = self.subject
        iris.lab.wire.delete(iris.path("ModelDeployment", iris.name))
        iris.until(lambda: not iris.read() and not iris.leftovers(leaving=False), "nothing is left")

    def _measure(self) -> None:
        if self._excused:
            self.row.remarks.append(self._excused)
        if self.load is None:
            return
        self.row.sent = len(self.load.answers)
        self.row.lost = kinds(answer.lost for answer in self.lost)
        self.row.by_version = self.load.by_version()
        for move in self._moves:
            last = self.load.last_of(move.old, since=move.acted, until=move.moved)
            traffic = None if move.old == move.new else round((last or move.acted) - move.acted, 2)
            self.row.transitions.append(Transition(traffic, round(move.told - move.acted, 2), move.rollback))

    def _each_answer_was_due(self) -> None:
        """Between two transitions all new connections lead to one version."""
        if self.load is None:
            return
        ends = [*(move.acted for move in self._moves[1:]), float("inf")]
        for move, end in zip(self._moves, ends, strict=False):
            told = [a for a in self.load.answers if not a.lost] + self.failures
            fresh = [a for a in told if not a.pooled and move.moved <= a.began < end]
            strangers = [answer for answer in fresh if answer.version != move.new]
            assert strangers == [], f"{move}: {strangers[:5]}"

    def _status_is_true(self) -> None:
        iris = self.subject

        def true() -> bool:
            seen = iris.read()
            status = seen.get("status", {})
            said = {c["type"]: c["status"] for c in status.get("conditions", [])}
            acted = status.get("observedGeneration") == seen.get("metadata", {}).get("generation")
            return acted and self._conditions.items() <= said.items()

        iris.until(true, f"status says {self._conditions}", within=SETTLE_SECONDS)

    def _the_log_is_quiet(self) -> None:
        operator = self.subject.lab.operator
        operator.collect()
        alarming = [line for line in operator.alarming() if not any(part in line for part in self._expected_lines)]
        operator.forget()
        assert alarming == [], "\n".join(alarming[:40])
