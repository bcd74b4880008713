"""The definitions of custom resources themselves."""

from __future__ import annotations

import copy
import json
import secrets
from collections.abc import Iterator

import pytest

from kube_manifests import GROUP, Namespace, gadget_crd
from kube_wire import Obj, Wire, eventually

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def definition(plural: str = "widgets") -> Obj:
    group = f"d{secrets.token_hex(3)}.conformance.headgate.dev"
    text = {"type": "string"}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"a": text}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    kind = plural.removesuffix("s").capitalize()
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": plural, "kind": kind},
            "versions": [version],
        },
    }


@pytest.fixture
def widgets(api: Wire) -> Iterator[Obj]:
    """A definition of its own for a check that changes it."""
    made = api.create(CRDS, definition())
    path = f"{CRDS}/{made['metadata']['name']}"
    eventually(lambda: api.get(f"/apis/{made['spec']['group']}/v1/widgets").status == 200, "widgets are served")
    yield api.read(path)
    api.delete(path)


def test_a_definition_tells_that_its_names_are_accepted_and_it_is_established(api: Wire, gadgets: str) -> None:
    status = api.read(gadgets)["status"]
    conditions = {c["type"]: (c["status"], c["reason"]) for c in status["conditions"]}
    assert conditions["NamesAccepted"] == ("True", "NoConflicts")
    assert conditions["Established"] == ("True", "InitialNamesAccepted")
    assert status["acceptedNames"]["kind"] == "Gadget"
    assert status["storedVersions"] == ["v1"]


def test_names_that_are_left_out_are_made_of_the_kind(widgets: Obj) -> None:
    names = widgets["spec"]["names"]
    assert (names["singular"], names["listKind"]) == ("widget", "WidgetList")


def test_the_conversion_is_none_by_default(widgets: Obj) -> None:
    assert widgets["spec"]["conversion"] == {"strategy": "None"}


def test_the_name_of_a_definition_must_be_plural_and_group(api: Wire) -> None:
    wanted = definition()
    wanted["metadata"]["name"] = "other." + wanted["spec"]["group"]
    answer = api.post(CRDS, wanted)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert "metadata.name" in answer.fields


def test_a_schema_that_is_not_structural_is_refused(api: Wire) -> None:
    wanted = definition()
    schema = wanted["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["type"]
    answer = api.post(CRDS, wanted)
    assert answer.status == 422
    assert any("must not be empty for specified object fields" in cause["message"] for cause in answer.causes)


def test_a_rule_that_does_not_compile_is_refused(api: Wire) -> None:
    wanted = definition()
    spec = wanted["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"] = [{"rule": "self.b == 'x'", "message": "no"}]
    answer = api.post(CRDS, wanted)
    assert answer.status == 422
    assert "compilation failed" in answer.message
    assert "undefined field 'b'" in answer.message


def test_a_default_that_breaks_its_own_schema_is_refused(api: Wire) -> None:
    wanted = definition()
    spec = wanted["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["properties"]["a"] = {"type": "string", "enum": ["x"], "default": "y"}
    answer = api.post(CRDS, wanted)
    assert answer.status == 422
    assert any(field.endswith("properties[spec].properties[a].default") for field in answer.fields)


def test_two_storage_versions_are_refused(api: Wire) -> None:
    wanted = definition()
    second = {**copy.deepcopy(wanted["spec"]["versions"][0]), "name": "v2"}
    wanted["spec"]["versions"].append(second)
    answer = api.post(CRDS, wanted)
    assert answer.status == 422
    assert "must have exactly one version marked as storage version" in answer.message


def test_a_changed_schema_holds_for_later_writes(api: Wire, widgets: Obj) -> None:
    group, name = widgets["spec"]["group"], widgets["metadata"]["name"]
    path = f"/apis/{group}/v1/namespaces/default/widgets"
    widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": {"a": "1", "b": "2"}}
    assert "b" not in api.post(path, widget, dryRun="All").body["spec"]
    add = {"op": "add", "path": "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/b"}
    answer = api.patch(f"{CRDS}/{name}", [{**add, "value": {"type": "string"}}], "application/json-patch+json")
    assert answer.status == 200
    eventually(lambda: "b" in api.post(path, widget, dryRun="All").body["spec"], "the new field is kept")


def test_a_definition_without_subresources_has_no_doors_and_writes_status_with_the_object(
    api: Wire, widgets: Obj
) -> None:
    group = widgets["spec"]["group"]
    path = f"/apis/{group}/v1/namespaces/default/widgets"
    assert api.get(f"{path}/any/status").status == 404
    assert api.get(f"{path}/any/scale").status == 404


def test_the_objects_go_with_their_definition(api: Wire, widgets: Obj) -> None:
    group, name = widgets["spec"]["group"], widgets["metadata"]["name"]
    path = f"/apis/{group}/v1/namespaces/default/widgets"
    api.create(path, {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}})
    assert api.delete(f"{CRDS}/{name}").status == 200
    eventually(lambda: api.get(f"{CRDS}/{name}").status == 404, "the definition is gone")
    eventually(lambda: api.get(path).status == 404, "the objects are not served any more")


def test_a_definition_is_given_and_taken_by_apply(api: Wire) -> None:
    wanted = definition("trinkets")
    path = f"{CRDS}/{wanted['metadata']['name']}"
    assert api.apply(path, wanted).status == 201
    again = api.apply(path, wanted)
    assert again.status == 200
    assert api.delete(path).status == 200


def test_the_definition_of_the_suite_is_listed_by_its_group(api: Wire) -> None:
    found = [item["metadata"]["name"] for item in api.read(CRDS)["items"] if item["spec"]["group"] == GROUP]
    assert found == [f"gadgets.{GROUP}"]
    assert gadget_crd()["metadata"]["name"] in found


def test_the_openapi_document_of_a_custom_group_is_published(api: Wire) -> None:
    # kubectl explain and client-side checks of kubectl apply read it.
    def listed() -> Obj:
        answer = api.get("/openapi/v3")
        # Surprising: the index is JSON that calls itself plain text.
        return dict(json.loads(answer.body) if isinstance(answer.body, str) else answer.body)["paths"]

    assert "apis/apps/v1" in listed()
    url = eventually(lambda: listed().get(f"apis/{GROUP}/v1"), "the group is published")
    document = api.read(url["serverRelativeURL"])
    kinds = [
        kind["kind"]
        for schema in document["components"]["schemas"].values()
        for kind in schema.get("x-kubernetes-group-version-kind", [])
    ]
    assert "Gadget" in kinds


@pytest.mark.parametrize("scope", ["Cluster", "Namespaced"])
def test_the_scope_of_a_definition_decides_its_paths(api: Wire, ns: Namespace, scope: str) -> None:
    wanted = definition()
    wanted["spec"]["scope"] = scope
    group, name = wanted["spec"]["group"], wanted["metadata"]["name"]
    api.create(CRDS, wanted)
    try:
        everything = f"/apis/{group}/v1/widgets"
        inside = f"/apis/{group}/v1/namespaces/{ns.name}/widgets"
        eventually(lambda: api.get(everything).status == 200, "widgets are served")
        widget = {"apiVersion": f"{group}/v1", "kind": "Widget", "metadata": {"name": "w"}}
        answers = {path: api.post(path, widget, dryRun="All").status for path in (everything, inside)}
        taken = everything if scope == "Cluster" else inside
        assert answers.pop(taken) == 201
        assert set(answers.values()) <= {400, 404, 405}
    finally:
        api.delete(f"{CRDS}/{name}")
