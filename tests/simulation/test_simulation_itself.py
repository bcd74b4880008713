"""A simulation that sees nothing may be blind: broken operators are simulated, and have to be caught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from headgate_operator.api.status import Status
from headgate_operator.core import advance, candidate_rules, failures, gates, plan, render, wanted
from headgate_operator.core.sizes import Sizes
from headgate_operator.core.view import View
from headgate_operator.lease import Elector
from simulation.story import tell

Patch = pytest.MonkeyPatch


def write_without_a_lease(patch: Patch) -> None:
    async def at_once(_self: Elector) -> None:
        return

    patch.setattr(Elector, "acquire", at_once)
    patch.setattr(Elector, "may_write", lambda _self: True)
    patch.setattr(Elector, "write_seconds", lambda _self: 10.0)


def skip_the_golden_prediction(patch: Patch) -> None:
    rest = tuple(gate for gate in gates.VERIFY if gate is not gates.golden_passed)
    patch.setattr(candidate_rules, "VERIFY", rest)
    checks = tuple(check for check in failures.CHECKS if check is not failures.golden_failure)
    patch.setattr(failures, "CHECKS", checks)


def forget_quarantine(patch: Patch) -> None:
    patch.setattr(wanted, "entry_for", lambda _status, _revision: None)


def destroy_twice_in_a_pass(patch: Patch) -> None:
    patch.setattr(plan, "_up_to_the_first_destruction", lambda writes: list(writes))


def switch_before_pods_are_ready(patch: Patch) -> None:
    for name in ("VERIFY", "READY_TO_SWITCH"):
        patch.setattr(candidate_rules, name, (gates.not_paused,))
    patch.setattr(candidate_rules, "digests_of", lambda _view, _candidate: ["sha256:" + "0" * 64])


def make_room_for_the_candidate(patch: Patch) -> None:
    """One pod of what serves goes before the new one has come."""
    sizes = render.sizes

    def hurried(view: View, status: Status) -> Sizes:
        found = sizes(view, status)
        return found if status.candidate is None else replace(found, stable=max(0, found.stable - 1))

    patch.setattr(render, "sizes", hurried)


def keep_on_writing(patch: Patch) -> None:
    decide = advance.summarise
    count = iter(range(10**9))

    def restless(view: View, status: Status) -> Status:
        return replace(decide(view, status), url=f"http://{next(count)}")

    patch.setattr(advance, "summarise", restless)


@pytest.mark.parametrize(
    ("defect", "word"),
    [
        (write_without_a_lease, "begins a write"),
        (skip_the_golden_prediction, "no good one"),
        (forget_quarantine, "a pass raised an error"),
        (destroy_twice_in_a_pass, "in the same pass"),
        (switch_before_pods_are_ready, "no good one"),
        (make_room_for_the_candidate, "promised"),
        (keep_on_writing, "passes within a minute"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_broken_operator_is_caught(monkeypatch: Patch, defect: Callable[[Patch], None], word: str) -> None:
    defect(monkeypatch)
    said: set[str] = set()
    for seed in range(100):
        said |= set(tell(seed).violations)
        if any(word in violation for violation in said):
            return
    pytest.fail(f"not caught; what was said: {sorted(said)[:5]}")


def test_a_seed_tells_the_same_story_every_time() -> None:
    assert tell(11).log == tell(11).log
