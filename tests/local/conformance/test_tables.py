"""The table form of answers, which is what kubectl get prints."""

from __future__ import annotations

import re

import pytest

from kube_manifests import Namespace, configmap, deployment, fresh, gadget
from kube_wire import Obj, Wire

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def cells(table: Obj, name: str) -> dict[str, object]:
    """The row of one object, by column name."""
    columns = [column["name"] for column in table["columnDefinitions"]]
    rows = [row["cells"] for row in table["rows"] if row["cells"][0] == name]
    assert len(rows) == 1
    return dict(zip(columns, rows[0], strict=True))


@pytest.fixture
def shown(api: Wire, ns: Namespace) -> str:
    name = fresh("shown")
    api.create(ns("gadgets"), gadget(name, code="ab", replicas=4))
    conditions = [{"type": "Other", "status": "True"}, {"type": "Ready", "status": "False", "reason": "Loading"}]
    api.patch(ns("gadgets", name, "status"), {"status": {"conditions": conditions, "note": "slow"}})
    return name


def test_a_table_has_the_columns_of_the_definition_after_the_name(api: Wire, ns: Namespace) -> None:
    table = api.get(ns("gadgets"), accept=TABLE).body
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1")
    assert [c["name"] for c in table["columnDefinitions"]] == ["Name", "Code", "Wanted", "Reason", "Note", "Age"]


def test_columns_tell_type_priority_and_description(api: Wire, ns: Namespace) -> None:
    columns = {c["name"]: c for c in api.get(ns("gadgets"), accept=TABLE).body["columnDefinitions"]}
    assert columns["Name"]["format"] == "name"
    assert columns["Wanted"]["type"] == "integer"
    assert (columns["Note"]["priority"], columns["Note"]["description"]) == (1, "a remark")
    assert columns["Code"]["priority"] == 0


def test_cells_are_read_by_the_paths_of_the_columns(api: Wire, ns: Namespace, shown: str) -> None:
    row = cells(api.get(ns("gadgets"), accept=TABLE).body, shown)
    assert row["Code"] == "ab"
    assert row["Wanted"] == 4
    assert row["Reason"] == "Loading"
    assert row["Note"] == "slow"


def test_a_cell_without_a_value_is_null(api: Wire, ns: Namespace) -> None:
    name = fresh("bare")
    api.create(ns("gadgets"), gadget(name, code="ab"))
    row = cells(api.get(ns("gadgets"), accept=TABLE).body, name)
    assert (row["Reason"], row["Note"]) == (None, None)


def test_an_age_is_a_span_of_time(api: Wire, ns: Namespace, shown: str) -> None:
    row = cells(api.get(ns("gadgets"), accept=TABLE).body, shown)
    assert re.fullmatch(r"\d+s", str(row["Age"]))


def test_one_object_can_be_asked_for_as_a_table(api: Wire, ns: Namespace, shown: str) -> None:
    table = api.get(ns("gadgets", shown), accept=TABLE).body
    assert table["kind"] == "Table"
    assert len(table["rows"]) == 1


def test_rows_carry_the_metadata_of_their_objects_by_default(api: Wire, ns: Namespace, shown: str) -> None:
    [row] = api.get(ns("gadgets", shown), accept=TABLE).body["rows"]
    assert row["object"]["kind"] == "PartialObjectMetadata"
    assert row["object"]["metadata"]["name"] == shown
    assert "spec" not in row["object"]


def test_rows_carry_whole_objects_when_asked_to(api: Wire, ns: Namespace, shown: str) -> None:
    [row] = api.get(ns("gadgets", shown), accept=TABLE, includeObject="Object").body["rows"]
    assert row["object"]["spec"]["code"] == "ab"


def test_rows_carry_no_object_when_asked_to(api: Wire, ns: Namespace, shown: str) -> None:
    [row] = api.get(ns("gadgets", shown), accept=TABLE, includeObject="None").body["rows"]
    assert row["object"] is None


def test_a_table_has_the_resource_version_of_the_list(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget(code="ab"))
    assert int(api.get(ns("gadgets"), accept=TABLE).body["metadata"]["resourceVersion"]) > 0


def test_kubectls_accept_header_gets_a_table(api: Wire, ns: Namespace) -> None:
    accept = f"{TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
    assert api.get(ns("configmaps"), accept=accept).body["kind"] == "Table"


def test_config_maps_have_columns_of_their_own(api: Wire, ns: Namespace) -> None:
    name = fresh("table")
    api.create(ns("configmaps"), configmap(name, a="1", b="2"))
    row = cells(api.get(ns("configmaps"), accept=TABLE).body, name)
    assert (list(row), row["Data"]) == (["Name", "Data", "Age"], 2)


def test_deployments_show_what_is_ready_of_what_is_wanted(api: Wire, ns: Namespace) -> None:
    name = fresh("table")
    api.create(ns("deployments"), deployment(name, replicas=0))
    row = cells(api.get(ns("deployments"), accept=TABLE).body, name)
    assert list(row)[:5] == ["Name", "Ready", "Up-to-date", "Available", "Age"]
    assert row["Ready"] == "0/0"


def test_a_watch_can_be_told_in_tables(api: Wire, ns: Namespace) -> None:
    name = fresh("watched")
    version = api.read(ns("gadgets"))["metadata"]["resourceVersion"]
    with api.watch(ns("gadgets"), accept=TABLE, resourceVersion=version) as events:
        api.create(ns("gadgets"), gadget(name, code="ab"))
        event = next(events)
    assert (event["type"], event["object"]["kind"]) == ("ADDED", "Table")
    assert [row["cells"][0] for row in event["object"]["rows"]] == [name]
    # kubectl get -w prints its heading from the first event.
    assert event["object"]["columnDefinitions"][0]["name"] == "Name"
