"""When a candidate has failed, and what that says about it: a list of small checks, the first that fires decides.
The deadline stands apart: it is asked last, once the candidate could not be verified in this very pass.

A permanent reason from the pod itself needs no deadline. A cause outside the model is no failure at all: such time does
not even count towards the deadline (`deadline_from` is set anew when the trouble has passed).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from headgate_operator.api.durations import format_duration
from headgate_operator.api.status import By, Candidate, Scope
from headgate_operator.core.baseline import restarts_since
from headgate_operator.core.observed import GoldenFailed, PodNotReady, PodReady
from headgate_operator.core.quarantine import Verdict
from headgate_operator.core.view import View

CRASHES = 3
# These speak about the model itself; every other permanent reason may be cured by other settings.
_ABOUT_THE_MODEL = {"GoldenFailed", "DigestMismatch"}

Check = Callable[[View, Candidate], Verdict | None]


def permanent_reason(view: View, candidate: Candidate) -> Verdict | None:
    for pod in view.pods(candidate.revision):
        told = pod.readiness
        if isinstance(told, PodNotReady) and told.permanent:
            scope = Scope.MODEL if told.reason in _ABOUT_THE_MODEL else Scope.REVISION
            by = By.PREFLIGHT if scope is Scope.MODEL else By.LOAD
            return Verdict(scope=scope, by=by, gate=told.reason, message=told.message)
    return None


def digests_of(view: View, candidate: Candidate) -> list[str]:
    """What the pods of this revision say they have loaded, in the order of their names."""
    pods = sorted(view.pods(candidate.revision), key=lambda pod: pod.name)
    told = (pod.readiness for pod in pods)
    return [answer.digest for answer in told if isinstance(answer, PodReady) and answer.revision == candidate.revision]


def digest_disagreement(view: View, candidate: Candidate) -> Verdict | None:
    revision = view.revision(candidate.revision)
    given = revision.digest if revision else None
    expected = given or candidate.digest or _recorded_before(view, candidate)
    digests = set(digests_of(view, candidate)) | ({expected} if expected else set())
    if len(digests) <= 1:
        return None
    whose = "spec.model.digest and the pods" if given else "the pods"
    message = f"{whose} do not agree on the model's files: {', '.join(sorted(digests))}"
    return Verdict(scope=Scope.MODEL, by=By.PREFLIGHT, gate="DigestMismatch", message=message)


def _recorded_before(view: View, candidate: Candidate) -> str | None:
    """In other pods, with other settings or before a restart, the same version was these files: it still must be."""
    others = (found for found in view.revisions if found.identity_hash == candidate.identity)
    recorded = [found for found in others if found.hash in view.children.digests]
    newest = max(recorded, key=lambda found: found.number, default=None)
    return None if newest is None else view.children.digests[newest.hash]


def golden_failure(view: View, candidate: Candidate) -> Verdict | None:
    for pod in view.pods(candidate.revision):
        if isinstance(pod.golden, GoldenFailed):
            message = f"the model's own input example fails: {pod.golden.message}"
            return Verdict(scope=Scope.MODEL, by=By.PREFLIGHT, gate="GoldenFailed", message=message)
    return None


def crashes(view: View, candidate: Candidate) -> Verdict | None:
    for pod in view.pods(candidate.revision):
        if pod.crash_looping or pod.restarts >= CRASHES:
            message = f"the server of pod {pod.name} crashes again and again. {pod.message}".strip()
            return Verdict(scope=Scope.REVISION, by=By.LOAD, gate="CrashLoop", message=message)
    return None


RESTARTS_UNDER_TRAFFIC = 2


def restarts_under_traffic(view: View, candidate: Candidate) -> Verdict | None:
    """A crash erases the very counters that would tell of it."""
    restarts = restarts_since(view, candidate.revision, candidate.restarts_before)
    if candidate.step is None or restarts < RESTARTS_UNDER_TRAFFIC:
        return None
    message = f"{restarts} container restarts of one pod since it got traffic"
    return Verdict(scope=Scope.REVISION, by=By.LOAD, gate="Restarts", message=message)


def deadline_runs(candidate: Candidate) -> bool:
    """Until it is verified, and again while pods that scaling has added keep a verified one from its turn."""
    waiting = candidate.verified_at is None or candidate.incomplete_since is not None
    return candidate.blocked_by is None and waiting


def deadline_passed(view: View, candidate: Candidate) -> Verdict | None:
    watched = timedelta(seconds=candidate.watched_seconds) + view.watched(candidate.deadline_from)
    if not deadline_runs(candidate) or watched < view.policy.progress_deadline:
        return None
    waited = format_duration(view.policy.progress_deadline)
    what = "not ready and verified" if candidate.verified_at is None else "scaled, and not all of its pods ready"
    message = f"{what} within {waited}. {_last_word(view, candidate)}".strip()
    return Verdict(scope=Scope.REVISION, by=By.LOAD, gate="ProgressDeadline", message=message)


def _last_word(view: View, candidate: Candidate) -> str:
    for pod in view.pods(candidate.revision):
        if isinstance(pod.readiness, PodNotReady):
            return f"{pod.readiness.reason}: {pod.readiness.message}"
    return ""


CHECKS: tuple[Check, ...] = (permanent_reason, digest_disagreement, golden_failure, crashes, restarts_under_traffic)


def failure(view: View, candidate: Candidate) -> Verdict | None:
    return next(filter(None, (check(view, candidate) for check in CHECKS)), None)
