"""Lists and which objects a selector chooses."""

from __future__ import annotations

import pytest

from kube_manifests import RUN, Namespace, configmap, deployment, gadget
from kube_wire import Wire

# What each selector finds among the config maps below.
SELECTORS = {
    "tier=front": {"one", "two"},
    "tier==front": {"one", "two"},
    "tier!=front": {"three", "four"},  # also objects without the label
    "tier=front,size=1": {"one"},
    "tier in (front,back)": {"one", "two", "three"},
    "tier notin (front)": {"three", "four"},
    "size": {"one", "two"},
    "!size": {"three", "four"},
    "size in (1),tier": {"one"},
    "tier=none": set(),
}


@pytest.fixture(scope="module")
def labelled(api: Wire, ns: Namespace) -> Namespace:
    labels = {
        "one": {"tier": "front", "size": "1"},
        "two": {"tier": "front", "size": "2"},
        "three": {"tier": "back"},
        "four": {"other": "x"},
    }
    for name, chosen in labels.items():
        api.create(ns("configmaps"), configmap(name, labels={**chosen, "run": RUN}))
    return ns


@pytest.mark.parametrize(("selector", "found"), SELECTORS.items())
def test_a_label_selector_chooses(api: Wire, labelled: Namespace, selector: str, found: set[str]) -> None:
    body = api.read(labelled("configmaps") + f"?labelSelector={selector},run={RUN}".replace(" ", "%20"))
    assert {item["metadata"]["name"] for item in body["items"]} == found


def test_a_malformed_label_selector_is_a_bad_request(api: Wire, labelled: Namespace) -> None:
    answer = api.get(labelled("configmaps"), labelSelector="tier in front")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "unable to parse requirement" in answer.message


def test_a_field_selector_chooses_by_name(api: Wire, labelled: Namespace) -> None:
    body = api.get(labelled("configmaps"), fieldSelector="metadata.name=one").body
    assert [item["metadata"]["name"] for item in body["items"]] == ["one"]


def test_a_field_selector_chooses_by_another_name(api: Wire, labelled: Namespace) -> None:
    body = api.get(labelled("configmaps"), fieldSelector="metadata.name!=one", labelSelector=f"run={RUN}").body
    assert {item["metadata"]["name"] for item in body["items"]} == {"two", "three", "four"}


def test_a_field_selector_chooses_by_namespace_in_all_namespaces(api: Wire, labelled: Namespace) -> None:
    body = api.get("/api/v1/configmaps", fieldSelector=f"metadata.namespace={labelled.name},metadata.name=two").body
    assert [item["metadata"]["namespace"] for item in body["items"]] == [labelled.name]


def test_a_field_selector_chooses_custom_resources_by_name(api: Wire, ns: Namespace) -> None:
    for name in ("first", "second"):
        api.create(ns("gadgets"), gadget(name, code="ab"))
    body = api.get(ns("gadgets"), fieldSelector="metadata.name=second").body
    assert [item["metadata"]["name"] for item in body["items"]] == ["second"]


def test_an_unknown_field_of_a_field_selector_is_a_bad_request(api: Wire, labelled: Namespace) -> None:
    answer = api.get(labelled("configmaps"), fieldSelector="data.key=1")
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert "data.key" in answer.message


def test_pods_are_selected_by_phase(api: Wire, ns: Namespace) -> None:
    api.create(ns("deployments"), deployment("phases", replicas=0))
    body = api.get(ns("pods"), fieldSelector="status.phase=Running").body
    assert body["items"] == []


def test_a_list_has_a_kind_and_a_resource_version(api: Wire, labelled: Namespace) -> None:
    made = api.read(labelled("configmaps", "one"))
    body = api.read(labelled("configmaps"))
    assert (body["kind"], body["apiVersion"]) == ("ConfigMapList", "v1")
    assert int(body["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


def test_the_items_of_a_built_in_list_have_no_kind_and_those_of_a_custom_one_do(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), configmap("bare"))
    api.create(ns("gadgets"), gadget("dressed", code="ab"))
    assert not any("kind" in item for item in api.read(ns("configmaps"))["items"])
    custom = api.read(ns("gadgets"))
    assert custom["kind"] == "GadgetList"
    assert all(item["kind"] == "Gadget" for item in custom["items"])


def test_a_list_is_sorted_by_name(api: Wire, labelled: Namespace) -> None:
    names = [item["metadata"]["name"] for item in api.read(labelled("configmaps"))["items"]]
    assert names == sorted(names)


def test_a_limited_list_goes_on_with_its_token(api: Wire, labelled: Namespace) -> None:
    everything = api.get(labelled("configmaps")).body["items"]
    first = api.get(labelled("configmaps"), limit=2).body
    assert len(first["items"]) == 2
    assert first["metadata"]["remainingItemCount"] == len(everything) - 2
    rest = api.get(labelled("configmaps"), limit=500, **{"continue": first["metadata"]["continue"]}).body
    assert "continue" not in rest["metadata"]
    assert [item["metadata"]["uid"] for item in first["items"] + rest["items"]] == [
        item["metadata"]["uid"] for item in everything
    ]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


def test_a_list_of_all_namespaces_crosses_them(api: Wire, labelled: Namespace) -> None:
    body = api.get("/api/v1/configmaps", labelSelector=f"run={RUN}").body
    assert {item["metadata"]["name"] for item in body["items"]} == {"one", "two", "three", "four"}


def test_a_collection_is_deleted_by_selector(api: Wire, ns: Namespace) -> None:
    for number in range(3):
        api.create(ns("configmaps"), configmap(f"swept-{number}", labels={"swept": "yes" if number else "no"}))
    answer = api.delete(ns("configmaps"), labelSelector="swept=yes")
    assert answer.status == 200
    left = api.get(ns("configmaps"), labelSelector="swept").body["items"]
    assert [item["metadata"]["name"] for item in left] == ["swept-0"]
