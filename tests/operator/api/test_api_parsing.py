"""A spec that the CRD would refuse is refused here too, and says which field to mend; a status survives everything."""

from __future__ import annotations

import dataclasses
import json
import string
import types
from datetime import UTC, datetime, timedelta
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_operator.api.codec import from_json, to_json
from headgate_operator.api.durations import format_duration, parse_duration, parse_time
from headgate_operator.api.errors import SpecError
from headgate_operator.api.model import ByAlias, ByVersion, brief
from headgate_operator.api.parse import parse_spec, spec_to_dict
from headgate_operator.api.spec import Strategy, policy_of
from headgate_operator.api.status import Status


def parsed(name: str = "iris", **spec: Any) -> Any:
    return parse_spec({"metadata": {"name": name}, "spec": {"model": {"name": "m", "alias": "champion"}, **spec}})


def test_the_smallest_object_has_the_defaults_of_production() -> None:
    spec = parsed()
    assert (spec.replicas, spec.paused, spec.model.ref) == (1, False, ByAlias("champion"))
    policy = policy_of(spec.rollout)
    assert policy.strategy is Strategy.CANARY
    assert [step.weight for step in policy.steps] == [10, 50, 100]
    assert policy.progress_deadline == policy.keep_warm == timedelta(minutes=10)
    assert (policy.min_duration, policy.history_limit) == (timedelta(0), 10)


def test_a_version_is_a_reference_of_its_own_kind() -> None:
    assert parsed(model={"name": "m", "version": "3"}).model.ref == ByVersion("3")
    assert parsed(model={"name": "m", "version": "3"}).model.requested == "m/3"


@pytest.mark.parametrize(
    ("reference", "requested", "short"),
    [
        ({"stage": "Production"}, "m/Production", "Production"),
        ({"latest": {}}, "m latest", "latest"),
        ({"latest": {"tags": {"b": "2", "a": "1"}}}, "m latest(a=1,b=2)", "latest"),
        ({"alias": "champion"}, "m@champion", "@champion"),
        ({"version": "3"}, "m/3", ""),
    ],
)
def test_a_reference_is_read_told_and_written_again(reference: dict[str, Any], requested: str, short: str) -> None:
    spec = parsed(model={"name": "m", **reference})
    assert (spec.model.requested, brief(spec.model.ref)) == (requested, short)
    assert spec_to_dict(spec)["model"] == {"name": "m", **reference}


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"model": {}}, "spec.model.name"),
        ({"model": {"name": "a/b", "alias": "x"}}, "spec.model.name"),
        ({"model": {"name": "m"}}, "spec.model.version"),
        ({"model": {"name": "m", "alias": "a", "version": "1"}}, "spec.model.version"),
        ({"model": {"name": "m", "alias": "a", "latest": {}}}, "spec.model.version"),
        ({"model": {"name": "m", "stage": "production"}}, "spec.model.stage"),
        ({"model": {"name": "m", "latest": {"tags": {"a": 1}}}}, "spec.model.latest.tags.a"),
        ({"model": {"name": "m", "latest": {"tags": {"": "b"}}}}, "spec.model.latest.tags"),
        ({"model": {"name": "m", "version": "v1"}}, "spec.model.version"),
        ({"model": {"name": "m", "version": 1}}, "spec.model.version"),
        ({"model": {"name": "m", "alias": "latest"}}, "spec.model.alias"),
        ({"model": {"name": "m", "alias": "v12"}}, "spec.model.alias"),
        ({"model": {"name": "m", "alias": "a b"}}, "spec.model.alias"),
        ({"model": {"name": "m", "alias": "a", "digest": "sha256:x"}}, "spec.model.digest"),
        ({"replicas": -1}, "spec.replicas"),
        ({"replicas": True}, "spec.replicas"),
        ({"replicas": "2"}, "spec.replicas"),
        ({"paused": "yes"}, "spec.paused"),
        ({"serving": {"env": [{"name": "HEADGATE_PORT", "value": "1"}]}}, "spec.serving.env[0].name"),
        ({"serving": {"env": {}}}, "spec.serving.env"),
        ({"rollout": {"strategy": "AllAtOnce"}}, "spec.rollout.strategy"),
        ({"rollout": {"keepWarm": "ten minutes"}}, "spec.rollout.keepWarm"),
        ({"rollout": {"keepWarm": "-1s"}}, "spec.rollout.keepWarm"),
        ({"rollout": {"historyLimit": 0}}, "spec.rollout.historyLimit"),
        ({"traffic": {"service": {"port": 0}}}, "spec.traffic.service.port"),
        ({"traffic": {"service": {"type": "ExternalName"}}}, "spec.traffic.service.type"),
        ({"traffic": {"service": {"labels": {"a": 1}}}}, "spec.traffic.service.labels.a"),
        ({"traffic": []}, "spec.traffic"),
        *(
            ({"analysis": {"webhooks": [{"name": "bot", "url": "https://x", "when": "OnRollback", **wrong}]}}, path)
            for wrong, path in (
                ({"name": "A"}, "spec.analysis.webhooks[0].name"),
                ({"url": "ftp://x"}, "spec.analysis.webhooks[0].url"),
                ({"when": "Always"}, "spec.analysis.webhooks[0].when"),
                ({"timeout": "1h"}, "spec.analysis.webhooks[0].timeout"),
                ({"timeout": "0s"}, "spec.analysis.webhooks[0].timeout"),
            )
        ),
        ({"analysis": {"source": "Elsewhere"}}, "spec.analysis.source"),
        ({"analysis": {"prometheus": {"url": "prometheus:9090"}}}, "spec.analysis.prometheus.url"),
        ({"analysis": {"metrics": [{"name": "m", "query": "q"}]}}, "spec.analysis.metrics[0].min"),
        (
            {"analysis": {"webhooks": [{"name": "bot", "url": "https://x", "when": "OnRollback"}] * 2}},
            "spec.analysis.webhooks",
        ),
    ],
)
def test_an_error_names_the_field(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(SpecError) as caught:
        parsed(**spec)
    assert caught.value.path == path
    assert caught.value.why


@pytest.mark.parametrize("name", ["1iris", "i" * 53, "Iris", ""])
def test_a_name_that_cannot_be_a_service_is_refused(name: str) -> None:
    with pytest.raises(SpecError, match=r"metadata\.name"):
        parsed(name)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5h", 5400), ("250ms", 0.25)],
)
def test_durations_are_those_of_go(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@given(st.integers(min_value=0, max_value=10**9))
def test_a_formatted_duration_is_read_again_as_the_same(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(value)) == value


texts = st.text(string.ascii_letters + string.digits + " -:", min_size=1, max_size=12)
moments = st.integers(min_value=10**12, max_value=4 * 10**12).map(
    lambda milliseconds: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
)
LEAVES: dict[Any, st.SearchStrategy[Any]] = {
    str: texts,
    int: st.integers(min_value=0, max_value=10**6),
    bool: st.booleans(),
    datetime: moments,
}


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Any value of a type that status is made of."""
    if get_origin(hint) in (Union, types.UnionType):
        return st.none() | st.one_of([values(option) for option in get_args(hint) if option is not type(None)])
    if get_origin(hint) is tuple:
        return st.lists(values(get_args(hint)[0]), max_size=2).map(tuple)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return st.builds(hint, **{name: values(inner) for name, inner in get_type_hints(hint).items()})
    return LEAVES[hint] if hint in LEAVES else st.sampled_from(list(hint))


@given(values(Status))
def test_a_status_is_read_again_as_it_was_written(status: Status) -> None:
    assert from_json(Status, json.loads(json.dumps(to_json(status)))) == status


@pytest.mark.parametrize(
    "junk", [{}, {"stable": 3}, {"candidate": {"revision": "x"}}, {"history": [{}, 1]}, {"new": 1}]
)
def test_a_status_that_somebody_broke_is_read_as_far_as_it_goes(junk: dict[str, Any]) -> None:
    assert from_json(Status, junk) == Status()


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59Z", "1999-12-31T00:00:00Z", "soon"])
def test_a_time_that_cannot_be_reckoned_with_is_not_read(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)
    assert from_json(Status, {"hold": {"revision": "x"}, "candidate": {"startedAt": text}}).candidate is None


def test_a_duration_that_cannot_be_reckoned_with_is_refused() -> None:
    with pytest.raises(ValueError, match="too long"):
        parse_duration("9" * 31 + "h")


def test_half_a_surrogate_pair_is_written_as_an_api_server_keeps_it() -> None:
    assert to_json("a\ud800b") == "a\ufffdb"
    assert to_json("a\U0001f600b") == "a\U0001f600b"
