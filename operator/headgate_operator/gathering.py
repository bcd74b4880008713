"""What a ModelDeployment's traffic is watched for at this moment: a canary's two versions, or one that serves alone.

Implements `ports.Evidence` with a feed for each. Which of the two it is follows from the status alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from headgate_operator.api.evidence import EvidenceState, GuardState
from headgate_operator.api.spec import Spec
from headgate_operator.api.status import Status
from headgate_operator.core.analysis import arms_of, evidence_policy, guard_policy, guarded
from headgate_operator.core.command import current_rollout
from headgate_operator.core.evidence.policy import EvidencePolicy
from headgate_operator.core.observed import Pod
from headgate_operator.feed import Feed
from headgate_operator.feeds.engines import GuardTerms
from headgate_operator.ports import Gathered, Key


class Gathering:
    def __init__(self, two_arms: Feed[EvidencePolicy, EvidenceState], one_arm: Feed[GuardTerms, GuardState]) -> None:
        self._two_arms, self._one_arm = two_arms, one_arm

    def compared(self, key: Key, spec: Spec, status: Status, now: datetime) -> frozenset[str]:
        if arms := arms_of(status):
            return frozenset(arms.values()) if self._two_arms.due(key, now) else frozenset()
        alone = self._alone(spec, status)
        return frozenset({alone[0]}) if alone is not None and self._one_arm.due(key, now) else frozenset()

    def gather(self, key: Key, spec: Spec, status: Status, pods: Iterable[Pod], now: datetime) -> Gathered:
        arms, alone = arms_of(status), self._alone(spec, status)
        evidence, guard = None, None
        if arms:
            policy = evidence_policy(spec.analysis)
            evidence = self._two_arms.take(key, current_rollout(status), policy, status.evidence, arms, pods, now)
        else:
            self._two_arms.forget(key)
        if alone is not None:
            revision, terms, kept = alone
            only = {"stable": revision}
            guard = self._one_arm.take(key, current_rollout(status), terms, kept, only, pods, now)
        else:
            self._one_arm.forget(key)
        return Gathered(evidence, guard)

    def next(self, key: Key) -> datetime | None:
        due = (self._two_arms.next(key), self._one_arm.next(key))
        return min((moment for moment in due if moment is not None), default=None)

    def forget(self, key: Key) -> None:
        self._two_arms.forget(key)
        self._one_arm.forget(key)

    def _alone(self, spec: Spec, status: Status) -> tuple[str, GuardTerms, GuardState | None] | None:
        policy, revision = guard_policy(spec), guarded(status)
        if policy is None or revision is None or status.stable is None:
            return None
        terms = GuardTerms(policy=policy, interval=evidence_policy(spec.analysis).interval)
        return revision, terms, status.stable.guard
