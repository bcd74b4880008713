"""Which pods are asked for their counters while two revisions share the traffic."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from headgate_operator.api.status import Candidate, Stable, Status
from headgate_operator.core.observed import Children, Counters, Pod, PodAddress, PodSilent, Readiness
from headgate_operator.observe import ask_pods

NOW = datetime(2026, 11, 21, tzinfo=UTC)
ROLE: dict[str, Any] = {"version": "1", "identity": "i", "deployment": "d"}
STATUS = Status(
    stable=Stable(revision="aaaa", **ROLE),
    candidate=Candidate(revision="bbbb", started_at=NOW, deadline_from=NOW, **ROLE),
)


class Asked:
    """Implements the part of `ports.Probe` that is asked here."""

    def __init__(self) -> None:
        self.counters_of: set[str] = set()

    async def readiness(self, pod: PodAddress) -> Readiness:
        return PodSilent()

    async def counters(self, pod: PodAddress) -> Counters | None:
        self.counters_of.add(pod.ip)
        return None


def pod(name: str, revision: str, **state: Any) -> Pod:
    return Pod(name=name, revision=revision, address=PodAddress(name, 1, 1), **({"ready": True} | state))


PODS = (
    pod("stable", "aaaa"),
    pod("candidate", "bbbb"),
    pod("overloaded", "bbbb", ready=False),
    pod("ending", "bbbb", terminating=True),
    pod("other", "cccc"),
)


async def test_all_pods_of_both_revisions_are_asked_those_that_are_not_ready_too() -> None:
    """A version that fails so badly that its pods lose their readiness must not hide its errors by that."""
    probe = Asked()
    await ask_pods(probe, Children(pods=PODS), STATUS, compared=frozenset({"aaaa", "bbbb"}))  # type: ignore[arg-type]
    assert probe.counters_of == {"stable", "candidate", "overloaded"}


async def test_between_ticks_nobody_is_asked() -> None:
    probe = Asked()
    await ask_pods(probe, Children(pods=PODS), STATUS, compared=frozenset())  # type: ignore[arg-type]
    assert probe.counters_of == set()
