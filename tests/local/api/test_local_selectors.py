"""Label and field selectors."""

from __future__ import annotations

import pytest

from api_world import ApiWorld, config_map
from headgate_local.api.selectors import of_spec, parse_labels
from headgate_local.errors import ApiError


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        ("", {}, True),
        ("app=web", {"app": "web"}, True),
        ("app==web", {"app": "api"}, False),
        ("app!=web", {}, True),
        ("app", {"app": ""}, True),
        ("!app", {"app": "web"}, False),
        ("tier in (a, b)", {"tier": "b"}, True),
        ("tier notin (a,b)", {"tier": "b"}, False),
        ("tier notin (a,b)", {}, True),
        ("app=web,tier in (a,b)", {"app": "web", "tier": "a"}, True),
        ("app=web,tier in (a,b)", {"app": "web", "tier": "c"}, False),
    ],
)
def test_a_label_selector_selects(selector: str, labels: dict[str, str], expected: bool) -> None:
    assert parse_labels(selector).matches(labels) is expected


def test_a_malformed_selector_is_a_bad_request() -> None:
    with pytest.raises(ApiError) as refused:
        parse_labels("app=a b")
    assert refused.value.status == 400


def test_the_selector_of_a_spec_joins_labels_and_expressions() -> None:
    selector = of_spec(
        {"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "old", "operator": "DoesNotExist"}]}
    )
    assert selector.matches({"app": "web"})
    assert not selector.matches({"app": "web", "old": "1"})


def test_no_selector_selects_nothing() -> None:
    assert not of_spec(None).matches({})


def test_a_list_is_narrowed_by_field() -> None:
    world = ApiWorld()
    for name in ("one", "two"):
        world.client.create(config_map(name))
    found = world.client.list("ConfigMap", "default", fields="metadata.name!=one")
    assert [obj["metadata"]["name"] for obj in found] == ["two"]


def test_a_field_that_cannot_be_selected_is_a_bad_request() -> None:
    with pytest.raises(ApiError) as refused:
        ApiWorld().client.list("ConfigMap", "default", fields="data.a=1")
    assert refused.value.message == "field label not supported: data.a"
