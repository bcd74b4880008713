"""An abort in the middle of a canary: when the last client is rid of the candidate, over which kind of connection.

The figures are printed (`-s`), not asserted; HEADGATE_ABORT_ROUNDS says how many aborts they are of.
"""

import contextlib
import math
import os
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from fault_lab import KINDS, Obj, Subject
from headgate_cli.demo.load import Load
from headgate_cli.kube import Cluster
from headgate_cli.orders import Orders

ROUNDS = int(os.environ.get("HEADGATE_ABORT_ROUNDS", "2"))
DRAIN_DELAY = 5.0  # of the server
CANARY = {"strategy": "Canary", "steps": [{"weight": 50}], "keepWarm": "1s"}


@dataclass(frozen=True)
class Seen:
    """Seconds from the command, and answers by the candidate."""

    answered: float  # the command
    fresh: float  # the last request on a connection of its own that the candidate answered began
    pooled: float  # the same on a kept-alive one
    ending: float  # its first pod was told to end
    after_ending: int  # most answers on one kept-alive connection from then on
    after_drain: int  # and from DRAIN_DELAY later on


def test_after_an_abort_no_client_stays_with_the_candidate(iris: Subject) -> None:
    iris.goes_live(replicas=2, rollout=CANARY)
    with (
        contextlib.closing(Cluster.connect(kubeconfig=iris.lab.state / "kubeconfig")) as cluster,
        Load(iris.url.removesuffix("/predict")) as load,
    ):
        orders = Orders(
            cluster,
            by="erika",
            new_id=lambda: uuid.uuid4().hex,
            now=lambda: datetime.now(UTC),
            clock=time.monotonic,
            pause=time.sleep,
        )
        rounds = [aborted(iris, load, orders) for _ in range(ROUNDS)]
    assert [lost.lost for lost in load.tally.lost()] == []
    assert iris.outcomes()[-1] == "RolledBack"
    assert max(seen.after_drain for seen in rounds) <= 1
    for seen in rounds:
        print(seen)
    for name in ("answered", "fresh", "pooled", "ending"):
        times = sorted(getattr(seen, name) for seen in rounds)
        print(f"{name}: median {times[len(times) // 2]:.2f} s, p95 {times[math.ceil(0.95 * len(times)) - 1]:.2f} s")


def aborted(iris: Subject, load: Load, orders: Orders) -> Seen:
    """One canary until both kinds of connections reach it, and its abort."""
    version = iris.release()
    status = iris.until(lambda: sharing(iris.status, version), f"version {version} shares the traffic", within=90)
    revision = status["candidate"]["revision"]
    iris.until(lambda: len(kept_by(load, version)) >= 2, "kept-alive connections reach it")
    began = time.monotonic()
    assert orders.give(iris.namespace, iris.name, "abort", timeout=60, overwrite=True).accepted
    answered = time.monotonic()
    iris.until(lambda: any(is_ending(pod) for pod in pods_of(iris, revision)), "its pods are told to end")
    ending = time.monotonic()
    iris.until(lambda: "rollout" not in iris.status and not pods_of(iris, revision), "its pods are gone")
    gone = time.monotonic()
    iris.until(lambda: sum(a.began > gone for a in list(load.tally.answers)) >= 40, "the load goes on")
    assert load.tally.versions_since(gone) == {"1"}
    mine = [a for a in list(load.tally.answers) if a.version == version and a.began >= began]
    return Seen(
        answered=round(answered - began, 2),
        fresh=max((round(a.began - began, 2) for a in mine if not a.pooled), default=0.0),
        pooled=max((round(a.began - began, 2) for a in mine if a.pooled), default=0.0),
        ending=round(ending - began, 2),
        after_ending=most_on_one_connection(a.connection for a in mine if a.pooled and a.began > ending),
        after_drain=most_on_one_connection(a.connection for a in mine if a.pooled and a.began > ending + DRAIN_DELAY),
    )


def sharing(status: Obj, version: str) -> Obj:
    candidate = status.get("candidate", {})
    return status if candidate.get("version") == version and "stepStartedAt" in candidate else {}


def kept_by(load: Load, version: str) -> set[int]:
    recent = [a for a in list(load.tally.answers)[-60:] if a.pooled]
    return {a.connection for a in recent if a.version == version}


def pods_of(iris: Subject, revision: str) -> list[Obj]:
    path = "/" + KINDS["Pod"].format(iris.namespace)
    return list(iris.lab.wire.read(f"{path}?labelSelector=headgate.dev/revision%3D{revision}")["items"])


def is_ending(pod: Obj) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def most_on_one_connection(connections: Iterable[int]) -> int:
    return max(Counter(connections).values(), default=0)
