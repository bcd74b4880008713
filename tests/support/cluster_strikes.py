"""The operator is struck at each step of a rollout, in the moment in which the step is written down."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cluster_lab import Lab
from cluster_subject import Subject

Obj = dict[str, Any]


@dataclass(frozen=True)
class Release:
    """What a step is told by: the version that is released, and the revision that serves before."""

    version: str
    before: str


Met = Callable[..., Any]
Steps = dict[str, tuple[str, Met]]
"""By what is written down in that moment: in which kind of object, and how it is told there."""


def status(obj: Obj) -> Obj:
    return dict(obj.get("status", {}))


def candidate(obj: Obj, to: Release) -> Obj:
    found = dict(status(obj).get("candidate", {}))
    return found if found.get("version") == to.version else {}


def promoted(obj: Obj, to: Release) -> bool:
    return bool(status(obj).get("stable", {}).get("version") == to.version)


def switching(obj: Obj) -> bool:
    return bool(status(obj).get("rollout", {}).get("phase") == "Switching")


def previous(obj: Obj) -> Obj:
    return dict(status(obj).get("previous", {}))


def made(deployment: Obj, to: Release) -> bool:
    return bool(deployment["metadata"]["labels"]["headgate.dev/model-version"] == to.version)


def selected(service: Obj, to: Release) -> bool:
    is_public = not service["metadata"]["name"].endswith("-candidate")
    return is_public and bool(service["spec"]["selector"].get("headgate.dev/revision") != to.before)


Strike = Callable[[Subject, Release, Lab, Steps], None]


def kill_processes(iris: Subject, to: Release, lab: Lab, steps: Steps) -> None:
    """SIGKILL to the process of whoever leads, at each step. Its pod makes way for a new one."""
    for what, (kind, met) in steps.items():
        aimed = lab.operator.aim_at_all()
        try:
            iris.sees(kind, partial(met, to=to), what)
            leader = lab.operator.leader()
            aimed.pop(leader["metadata"]["name"]).fire()
        finally:
            for trigger in aimed.values():
                trigger.spare()
        lab.operator.replace(leader)


def delete_pods(iris: Subject, to: Release, lab: Lab, steps: Steps) -> None:
    """Forced deletion of the pod of whoever leads, at each step. It hears of it and can still give back its Lease."""
    for what, (kind, met) in steps.items():
        iris.sees(kind, partial(met, to=to), what)
        lab.operator.delete(lab.operator.leader(), force=True)
