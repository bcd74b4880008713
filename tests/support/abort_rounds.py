"""Aborts in the middle of a canary: when the last client is rid of the candidate, over which kind of connection.

The same on the local plane and in a real cluster. The seconds are told, not asserted.
"""

import contextlib
import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from headgate_cli.demo.load import Load
from headgate_cli.kube import Cluster
from headgate_cli.orders import Orders
from kube_wire import Wire

Obj = dict[str, Any]

ROUNDS = int(os.environ.get("HEADGATE_ABORT_ROUNDS", "2"))
DRAINED = 5.0 + 1.0  # the server's drain delay, and a second for its kubelet to tell it
CANARY = {"strategy": "Canary", "steps": [{"weight": 50}], "keepWarm": "1s"}


class Aborted(Protocol):
    """A ModelDeployment of either kind of test."""

    @property
    def namespace(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def status(self) -> Obj: ...

    def until(self, look: Callable[[], Any], what: str, *, within: float = ...) -> Any: ...


@dataclass(frozen=True)
class Seen:
    """Seconds from the command, and answers by the candidate."""

    answered: float  # the command
    fresh: float  # the last request on a connection of its own that the candidate answered began
    pooled: float  # the same on a kept-alive one
    ending: float  # its first pod was told to end
    after_ending: int  # most answers on one kept-alive connection from then on
    after_drain: int  # and from DRAINED later on


@contextlib.contextmanager
def orders_through(kubeconfig: Path) -> Iterator[Orders]:
    """As the command line gives them."""
    with contextlib.closing(Cluster.connect(kubeconfig=kubeconfig)) as cluster:
        yield Orders(
            cluster,
            by="erika",
            new_id=lambda: uuid.uuid4().hex,
            now=lambda: datetime.now(UTC),
            clock=time.monotonic,
            pause=time.sleep,
        )


def told(rounds: list[Seen]) -> list[str]:
    """The figures of all rounds, a line for each kind."""
    lines = []
    for name in ("answered", "fresh", "pooled", "ending"):
        times = sorted(getattr(seen, name) for seen in rounds)
        median, p95 = times[len(times) // 2], times[math.ceil(0.95 * len(times)) - 1]
        lines.append(f"{name}: min {times[0]:.2f} s, median {median:.2f} s, p95 {p95:.2f} s, max {times[-1]:.2f} s")
    return lines


def aborted(iris: Aborted, wire: Wire, load: Load, orders: Orders, version: str) -> Seen:
    """One canary until both kinds of connections reach it, and its abort."""
    status = iris.until(lambda: sharing(iris.status, version), f"version {version} shares the traffic", within=90)
    revision = status["candidate"]["revision"]
    iris.until(lambda: len(kept_by(load, version)) >= 2, "kept-alive connections reach it")
    began = time.monotonic()
    assert orders.give(iris.namespace, iris.name, "abort", timeout=60, overwrite=True).accepted
    answered = time.monotonic()
    iris.until(lambda: any(is_ending(pod) for pod in pods_of(iris, wire, revision)), "its pods are told to end")
    ending = time.monotonic()
    iris.until(lambda: "rollout" not in iris.status and not pods_of(iris, wire, revision), "its pods are gone")
    gone = time.monotonic()
    iris.until(lambda: sum(a.began > gone for a in list(load.tally.answers)) >= 40, "the load goes on")
    assert load.tally.versions_since(gone) == {"1"}
    mine = [a for a in list(load.tally.answers) if a.version == version and a.began >= began]
    seen = Seen(
        answered=round(answered - began, 2),
        fresh=max((round(a.began - began, 2) for a in mine if not a.pooled), default=0.0),
        pooled=max((round(a.began - began, 2) for a in mine if a.pooled), default=0.0),
        ending=round(ending - began, 2),
        after_ending=most_on_one_connection(a.connection for a in mine if a.pooled and a.began > ending),
        after_drain=most_on_one_connection(a.connection for a in mine if a.pooled and a.began > ending + DRAINED),
    )
    print(seen, flush=True)
    return seen


def sharing(status: Obj, version: str) -> Obj:
    candidate = status.get("candidate", {})
    return status if candidate.get("version") == version and "stepStartedAt" in candidate else {}


def kept_by(load: Load, version: str) -> set[int]:
    recent = [a for a in list(load.tally.answers)[-60:] if a.pooled]
    return {a.connection for a in recent if a.version == version}


def pods_of(iris: Aborted, wire: Wire, revision: str) -> list[Obj]:
    path = f"/api/v1/namespaces/{iris.namespace}/pods"
    return list(wire.read(f"{path}?labelSelector=headgate.dev/revision%3D{revision}")["items"])


def is_ending(pod: Obj) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def most_on_one_connection(connections: Iterable[int]) -> int:
    return max(Counter(connections).values(), default=0)
