"""Revision bookkeeping of a Deployment's ReplicaSets: annotations, history, which one is new."""

from __future__ import annotations

from collections.abc import Sequence

from headgate_local.controllers.objects import Obj, annotations_of, replicas_of, spec_of, status_of
from headgate_local.controllers.template import same_template

REVISION = "deployment.kubernetes.io/revision"
HISTORY = "deployment.kubernetes.io/revision-history"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MOST = "deployment.kubernetes.io/max-replicas"
_NOT_COPIED = {"kubectl.kubernetes.io/last-applied-configuration", REVISION, HISTORY, DESIRED, MOST}


def revision_of(rs: Obj) -> int:
    try:
        return int(annotations_of(rs).get(REVISION, "0"))
    except ValueError:
        return 0


def split(deployment: Obj, replica_sets: Sequence[Obj]) -> tuple[Obj | None, list[Obj]]:
    """The ReplicaSet of today's template (the oldest, should there be two) and all the others."""
    template = spec_of(deployment)["template"]
    by_age = sorted(replica_sets, key=lambda rs: (rs["metadata"]["creationTimestamp"], rs["metadata"]["name"]))
    new = next((rs for rs in by_age if same_template(spec_of(rs)["template"], template)), None)
    return new, [rs for rs in by_age if rs is not new]


def size_annotations(replicas: int, most: int) -> dict[str, str]:
    return {DESIRED: str(replicas), MOST: str(most)}


def new_annotations(deployment: Obj, rs: Obj | None, old: Sequence[Obj], most: int) -> dict[str, str]:
    """What the new ReplicaSet must carry; when one already had a revision, the old number goes to its history."""
    have = annotations_of(rs) if rs else {}
    wanted = {key: value for key, value in annotations_of(deployment).items() if key not in _NOT_COPIED}
    revision = max((revision_of(other) for other in old), default=0) + 1
    if rs is None or revision_of(rs) < revision:
        wanted[REVISION] = str(revision)
        if have.get(REVISION):
            wanted[HISTORY] = ",".join(filter(None, [have.get(HISTORY), have[REVISION]]))
    if rs is None:
        wanted.update(size_annotations(replicas_of(deployment), most))
    return {key: value for key, value in wanted.items() if have.get(key) != value}


def expired(deployment: Obj, old: Sequence[Obj]) -> list[Obj]:
    """Empty old ReplicaSets beyond the history limit, oldest revision first."""
    limit = spec_of(deployment).get("revisionHistoryLimit")
    limit = 10 if limit is None else int(limit)
    alive = sorted((rs for rs in old if not rs["metadata"].get("deletionTimestamp")), key=revision_of)
    surplus = alive[: max(0, len(alive) - limit)]
    return [rs for rs in surplus if _is_empty(rs)]


def _is_empty(rs: Obj) -> bool:
    status = status_of(rs)
    observed = int(status.get("observedGeneration", 0)) >= int(rs["metadata"].get("generation", 1))
    return replicas_of(rs) == 0 and not status.get("replicas") and observed
