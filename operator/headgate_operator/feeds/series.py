"""Raw counters out of Prometheus: one query for all pods of both arms, and what its answer says of each process.

Never windows of `rate()` or `increase()`: they overlap from tick to tick, and they lose what a new series begins with.
The counters are read as they stand, and differences are taken per process like those that a pod tells itself. All of
it is asked in one query, so that it is one moment's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite

from headgate_operator.core.evidence.policy import LADDER
from headgate_operator.core.observed import Answered, Pod, PodAddress, Traffic
from headgate_operator.counters import LARGEST, MOST_BOUNDS

REQUESTS = "headgate_requests_total"
BUCKETS = "headgate_request_duration_seconds_bucket"
SERVES = "headgate_requests_in_flight"
"""Every server has it from its start, so a pod without a request yet is heard too."""
BEGAN = "process_start_time_seconds"
GROUP = "all"
_OF_A_SERIES = frozenset({"__name__", "code", "le", "model", "version", "revision"})
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    labels: Labels
    value: float
    at: float = 0.0  # seconds, by Prometheus' clock


class _StrangeError(ValueError):
    pass


def query(revisions: Iterable[str]) -> str:
    """The labels that targets were given stay, whatever they are: they tell processes apart."""
    of = f'revision=~"{"|".join(sorted(filter(_PLAIN.fullmatch, revisions)))}"'
    without = "sum without (path, model, version)"
    return (
        f'{without} ({REQUESTS}{{{of}, path!="other"}})'
        f' or {without} ({BUCKETS}{{{of}, path!="other"}})'
        f" or {SERVES}{{{of}}}"
        f" or ({BEGAN} and on (job, instance) {SERVES}{{{of}}})"
    )


def traffic_by_pod(samples: Iterable[Sample], namespace: str, pods: Iterable[Pod]) -> dict[str, Traffic]:
    """By uid. Nothing for a pod that Prometheus does not know, or of which it tells what cannot be."""
    targets: dict[frozenset[tuple[str, str]], list[Sample]] = defaultdict(list)
    for sample in samples:
        target = frozenset((name, value) for name, value in sample.labels.items() if name not in _OF_A_SERIES)
        targets[target].append(sample)
    ordered = sorted(targets.items(), key=lambda item: sorted(item[0]))
    found: dict[str, Traffic] = {}
    for pod in pods:
        # Two targets may be the same process (two ports, two jobs, replicas of Prometheus): always the same one counts.
        of_pod = (told for target, told in ordered if _is(dict(target), namespace, pod))
        traffics = (_traffic(pod, told) for told in of_pod)
        if (traffic := next(filter(None, traffics), None)) is not None:
            found[pod.uid] = traffic
    return found


def _is(target: Labels, namespace: str, pod: Pod) -> bool:
    """By the address that was scraped; where that was replaced, by the labels that operators of Prometheus give."""
    if pod.address is not None and target.get("instance") in _addresses(pod.address):
        return True
    return (target.get("namespace"), target.get("pod")) == (namespace, pod.name)


def _addresses(address: PodAddress) -> tuple[str, ...]:
    host = f"[{address.ip}]" if ":" in address.ip else address.ip
    return f"{host}:{address.ops_port}", f"{host}:{address.http_port}"


def _traffic(pod: Pod, samples: list[Sample]) -> Traffic | None:
    serves = [sample for sample in samples if sample.labels.get("__name__") == SERVES]
    began = [sample for sample in samples if sample.labels.get("__name__") == BEGAN]
    if len(serves) != 1 or len(began) != 1 or not isfinite(began[0].value):
        return None
    counts: dict[str, float] = {}
    buckets: dict[str, dict[float, float]] = defaultdict(dict)
    for sample in samples:
        if sample.labels.get("__name__") or "code" not in sample.labels:
            continue
        if "le" in sample.labels:
            buckets[sample.labels["code"]][_bound(sample.labels["le"])] = sample.value
        else:
            counts[sample.labels["code"]] = sample.value
    try:
        bounds, rows = _rows(counts, buckets)
    except _StrangeError:
        return None
    labels = serves[0].labels
    return Traffic(
        start_id=f"{pod.uid} {began[0].value!r}",
        revision=labels.get("revision", ""),
        version=labels.get("version", ""),
        bounds=bounds,
        rows=rows,
        uptime_seconds=max(began[0].at - began[0].value, 0.0),
    )


def _rows(
    counts: Mapping[str, float], buckets: Mapping[str, Mapping[float, float]]
) -> tuple[tuple[float, ...], tuple[Answered, ...]]:
    ladders = {tuple(sorted(of_code)) for of_code in buckets.values()} or {(*LADDER, inf)}
    if counts.keys() != buckets.keys() or len(ladders) != 1:
        raise _StrangeError
    edges = ladders.pop()
    if not 1 < len(edges) <= MOST_BOUNDS + 1 or edges[-1] != inf or edges[0] <= 0:
        raise _StrangeError
    rows = tuple(
        Answered(GROUP, _code(code), _count(count), _steps([buckets[code][edge] for edge in edges]))
        for code, count in sorted(counts.items())
    )
    return edges[:-1], rows


def _steps(cumulative: list[float]) -> tuple[int, ...]:
    return tuple(_count(high - low) for low, high in pairwise((0.0, *cumulative)))


def _bound(le: str) -> float:
    """What no ladder has, where it is no number."""
    try:
        return float(le)
    except ValueError:
        return -1.0


def _code(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{2}", text):
        raise _StrangeError
    return int(text)


def _count(value: float) -> int:
    if not isfinite(value) or not 0 <= value <= LARGEST or value != int(value):
        raise _StrangeError
    return int(value)
