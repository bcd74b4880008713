"""What Prometheus says of a rollout: counts instead of the pods' own, and custom metrics. See `ports.Monitoring`.

Memory only, and never a verdict of its own: where it is silent there is no data, and a reason for people.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from headgate_operator.api.metrics import CustomMetric
from headgate_operator.core.evidence.custom import Finding
from headgate_operator.core.observed import Pod
from headgate_operator.metric_looks import MetricLooks
from headgate_operator.ports import Key
from headgate_operator.prometheus import Prometheus, Trouble


class Monitoring:
    def __init__(self, prometheus: Prometheus, looks: MetricLooks) -> None:
        self._prometheus, self._looks = prometheus, looks
        self._troubles: dict[Key, str] = {}

    async def counted(
        self, key: Key, uri: str | None, pods: Sequence[Pod], revisions: Collection[str]
    ) -> tuple[Pod, ...]:
        answer = await self._prometheus.count(uri, key.namespace, pods, revisions)
        if isinstance(answer, Trouble):
            self._troubles[key] = answer.why
            return tuple(pods)
        told = {pod.uid: pod for pod in answer}
        self._troubles.pop(key, None)
        if told and all(pod.traffic is None for pod in told.values()):
            self._troubles[key] = "Prometheus knows none of the pods' metrics"
        return tuple(told.get(pod.uid, pod) for pod in pods)

    def trouble(self, key: Key) -> str:
        return self._troubles.get(key, "")

    def look(
        self, key: Key, uri: str | None, metrics: Sequence[CustomMetric], values: dict[str, str], interval: float
    ) -> tuple[Finding, ...]:
        return self._looks.look(key, uri, metrics, values, interval)

    def forget(self, key: Key) -> None:
        self._troubles.pop(key, None)
        self._looks.forget(key)
