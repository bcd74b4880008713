"""Events are told once, in the API's own shape, and never get in the way."""

from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from headgate_operator.events import KubeEvents
from headgate_operator.ports import ConflictError, Event, Obj, RefusedError, UnavailableError

MDEP: Obj = {
    "apiVersion": "headgate.dev/v1alpha1",
    "kind": "ModelDeployment",
    "metadata": {"namespace": "ml", "name": "iris", "uid": "u-1", "resourceVersion": "9"},
}


class Written:
    def __init__(self, error: Exception | None = None) -> None:
        self.objects: list[Obj] = []
        self.error = error

    async def create(self, obj: Obj) -> Obj:
        if self.error:
            raise self.error
        self.objects.append(obj)
        return obj


def events(kube: Written, **options: Any) -> KubeEvents:
    numbers = count(1)
    return KubeEvents(
        kube,
        now=lambda: datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        unique=lambda: f"{next(numbers):016x}",
        instance="operator-0",
        **options,
    )


async def test_an_event_says_what_happened_to_which_object() -> None:
    kube, told = Written(), []
    await events(kube, told=told.append).emit(MDEP, [Event("Promoted", "3 -> 4"), Event("RolledBack", "x", True)])
    first, second = kube.objects
    assert first["involvedObject"] == {
        "apiVersion": "headgate.dev/v1alpha1",
        "kind": "ModelDeployment",
        "namespace": "ml",
        "name": "iris",
        "uid": "u-1",
        "resourceVersion": "9",
    }
    assert (first["type"], first["reason"], first["message"]) == ("Normal", "Promoted", "3 -> 4")
    assert (second["type"], second["reason"]) == ("Warning", "RolledBack")
    assert first["metadata"] == {"namespace": "ml", "name": "iris.0000000000000001"}
    assert first["lastTimestamp"] == "2026-11-21T09:30:00Z"
    assert [e.reason for e in told] == ["Promoted", "RolledBack"]


async def test_a_long_message_is_cut_to_what_the_api_takes() -> None:
    kube = Written()
    await events(kube).emit(MDEP, [Event("X", "y" * 5000)])
    assert len(kube.objects[0]["message"]) == 1024


@pytest.mark.parametrize(
    "error", [ConflictError("taken"), RefusedError("no", status=403), UnavailableError("down"), TimeoutError()]
)
async def test_an_event_that_cannot_be_written_harms_nobody(error: Exception) -> None:
    await events(Written(error)).emit(MDEP, [Event("X", "y")])
