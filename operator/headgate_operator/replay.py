"""`python -m headgate_operator.replay FILE`: what the evidence engine says to recorded counts, one JSON line a tick.

No cluster, no clock, nothing installed: the same code that decides in the operator. docs/reference/replay.md has the
format.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate_operator.core.evidence import cases, engine, shadow
from headgate_operator.core.evidence.cases import Case, ShadowCase
from headgate_operator.core.evidence.judgement import Judgement
from headgate_operator.core.evidence.place import CaseError

UNREADABLE = 2


@dataclass(frozen=True)
class Line:
    id: str | None
    t: float
    judgement: Judgement

    def json(self) -> dict[str, Any]:
        said = self.judgement
        named = {} if self.id is None else {"id": self.id}
        reason = said.reason if said.missing is None else f"{said.reason}; missing: {said.missing}"
        t = int(self.t) if self.t == int(self.t) else self.t
        log_e = {name: round(value, 6) for name, value in said.log_e.items()}
        return {**named, "t": t, "verdict": str(said.verdict), "gate": said.gate, "reason": reason, "log_e": log_e}


def replay(case: Case | ShadowCase) -> Iterator[Line]:
    """The first verdict that is not to wait is the decision; the lines after it are for the reader."""
    if isinstance(case, ShadowCase):
        pairs = shadow.Pairs()
        for tick in case.ticks:
            pairs = pairs.plus(tick.compared, tick.disagree)
            yield Line(case.id, tick.t, shadow.judge(case.policy, pairs, tick.t))
        return
    state = engine.begin(case.policy)
    for interval in case.intervals:
        state = engine.update(case.policy, state, interval)
        said = engine.judge(
            case.policy,
            state,
            seconds_in_step=interval.at,
            requests_in_step=state.candidate_requests,
            candidate=case.candidate,
            stable=case.stable,
        )
        yield Line(case.id, interval.at, said)


def _read(file: str) -> str:
    return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="headgate replay", description=__doc__)
    parser.add_argument("file", metavar="FILE", help="one case or a list of cases, as JSON; - for standard input")
    file = parser.parse_args(arguments).file
    try:
        found = cases.parse(_read(file))
    except OSError as error:
        return _refuse(f"{file}: {error.strerror or error}")
    except (CaseError, UnicodeDecodeError) as error:
        return _refuse(f"{file}: {error}")
    for case in found:
        if case.ignored:
            where = f"{file}: " if case.id is None else f"{file}: case {case.id}: "
            sys.stderr.write(f"headgate replay: {where}ignored in policy: {', '.join(case.ignored)}\n")
    try:
        for case in found:
            for line in replay(case):
                sys.stdout.write(json.dumps(line.json()) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _refuse(message: str) -> int:
    sys.stderr.write(f"headgate replay: {message}\n")
    return UNREADABLE


if __name__ == "__main__":
    sys.exit(main())
