"""What counts as a difference, and what only looks like one: a false difference would be a write on every pass."""

from __future__ import annotations

from typing import Any

import pytest

from headgate_operator.core.drift import covers, drifted

Obj = dict[str, Any]


@pytest.mark.parametrize(
    ("rendered", "live"),
    [
        ({"a": 1}, {"a": 1, "defaulted": True}),
        ({"a": {}}, {}),
        ({"a": {}}, {"a": {"theirs": 1}}),
        ({"a": ""}, {}),
        ({"a": []}, {"a": None}),
        ({"requests": {"cpu": "1000m"}}, {"requests": {"cpu": "1"}}),
        ({"requests": {"cpu": 2}}, {"requests": {"cpu": "2"}}),
        ({"limits": {"memory": "0.5Gi"}}, {"limits": {"memory": "512Mi"}}),
        ({"limits": {"memory": "1e3"}}, {"limits": {"memory": "1k"}}),
        ({"env": [{"name": "A", "value": ""}]}, {"env": [{"name": "A"}]}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "B"}, {"name": "A", "value": "1"}]}),
        ({"ports": [{"containerPort": 1}]}, {"ports": [{"containerPort": 2}, {"containerPort": 1, "protocol": "TCP"}]}),
        ({"ports": [{"port": 80}]}, {"ports": [{"port": 80, "nodePort": 31000}]}),
        ({"volumeMounts": [{"mountPath": "/a"}]}, {"volumeMounts": [{"mountPath": "/b"}, {"mountPath": "/a"}]}),
        ({"drop": ["ALL"]}, {"drop": ["ALL"]}),
        ({"resourceFieldRef": {"divisor": 1}}, {"resourceFieldRef": {"divisor": "1"}}),
        ({"resourceFieldRef": {"divisor": "1000m"}}, {"resourceFieldRef": {"divisor": "1"}}),
        ({"emptyDir": {"sizeLimit": "1024Mi"}}, {"emptyDir": {"sizeLimit": "1Gi"}}),
        ({"selector": {"matchLabels": {"a": "1"}}}, {"selector": {"matchLabels": {"a": "1", "immutable": "x"}}}),
    ],
)
def test_no_difference(rendered: Obj, live: Obj) -> None:
    assert covers(live, rendered)


@pytest.mark.parametrize(
    ("rendered", "live"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": ""}, {"a": "x"}),
        ({"a": {"b": 1}}, {"a": 3}),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}),
        ({"requests": {"cpu": "1"}}, {}),
        ({"requests": {"cpu": "much"}}, {"requests": {"cpu": "1"}}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": []}),
        ({"drop": ["ALL"]}, {"drop": ["ALL", "NET_ADMIN"]}),
        ({"drop": ["ALL"]}, {"drop": "ALL"}),
        ({"divisor": "1"}, {"divisor": "1k"}),
        ({"divisor": "1"}, {}),
        ({"spec": {"selector": {"a": "1"}}}, {"spec": {"selector": {"a": "1", "more": "x"}}}),
    ],
)
def test_a_difference(rendered: Obj, live: Obj) -> None:
    assert not covers(live, rendered)


def managed(manager: str, operation: str = "Apply") -> Obj:
    fields: Obj = {"f:metadata": {"f:annotations": {"f:gone": {}, ".": {}}}}
    entry = {"manager": manager, "operation": operation, "fieldsV1": fields}
    return {"metadata": {"annotations": {"gone": "x"}, "managedFields": [entry]}}


@pytest.mark.parametrize(
    ("live", "expected"),
    [(managed("headgate"), True), (managed("kubectl"), False), (managed("headgate", "Update"), False)],
)
def test_an_annotation_that_we_set_and_render_no_longer_is_a_difference(live: Obj, expected: bool) -> None:
    assert drifted({"metadata": {}}, live) is expected
