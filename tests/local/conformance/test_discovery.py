"""What a client learns about the server before it touches an object."""

from __future__ import annotations

import re

from kube_manifests import GADGETS, GROUP
from kube_wire import Cluster, Obj, Wire


def resources(api: Wire, path: str) -> dict[str, Obj]:
    return {entry["name"]: entry for entry in api.read(path)["resources"]}


def test_version_is_told_without_credentials(cluster: Cluster) -> None:
    answer = Wire(cluster, anonymous=True).get("/version")
    assert answer.status == 200
    assert answer.body["major"] == "1"
    assert re.fullmatch(r"v1\.\d+\.\d+.*", answer.body["gitVersion"])


def test_healthz_livez_and_readyz_say_ok_without_credentials(cluster: Cluster) -> None:
    wire = Wire(cluster, anonymous=True)
    for path in ("/healthz", "/livez", "/readyz"):
        answer = wire.get(path)
        assert (answer.status, answer.body) == (200, "ok"), path


def test_the_core_api_lists_its_versions(api: Wire) -> None:
    body = api.read("/api")
    assert body["kind"] == "APIVersions"
    assert body["versions"] == ["v1"]


def test_the_group_list_names_preferred_versions(api: Wire) -> None:
    body = api.read("/apis")
    assert body["kind"] == "APIGroupList"
    preferred = {group["name"]: group["preferredVersion"]["groupVersion"] for group in body["groups"]}
    for group in ("apps", "coordination.k8s.io", "discovery.k8s.io", "apiextensions.k8s.io", GROUP):
        assert preferred[group] == f"{group}/v1"


def test_one_group_can_be_read(api: Wire) -> None:
    body = api.read("/apis/apps")
    assert (body["kind"], body["name"]) == ("APIGroup", "apps")
    assert {"groupVersion": "apps/v1", "version": "v1"} in body["versions"]


def test_core_resources_tell_scope_kind_verbs_and_short_names(api: Wire) -> None:
    found = resources(api, "/api/v1")
    assert found["configmaps"]["namespaced"] is True
    assert found["configmaps"]["kind"] == "ConfigMap"
    assert found["configmaps"]["shortNames"] == ["cm"]
    assert found["configmaps"]["singularName"] == "configmap"
    wanted = {"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
    assert wanted <= set(found["configmaps"]["verbs"])
    assert found["namespaces"]["namespaced"] is False


def test_core_resources_name_the_subresources_of_pods(api: Wire) -> None:
    found = resources(api, "/api/v1")
    assert found["pods/status"]["kind"] == "Pod"
    assert found["pods/log"]["verbs"] == ["get"]


def test_deployments_name_a_scale_subresource_of_the_autoscaling_group(api: Wire) -> None:
    scale = resources(api, "/apis/apps/v1")["deployments/scale"]
    assert (scale["kind"], scale["group"], scale["version"]) == ("Scale", "autoscaling", "v1")
    assert set(scale["verbs"]) == {"get", "patch", "update"}


def test_a_custom_resource_is_discovered_with_its_names_and_subresources(api: Wire) -> None:
    found = resources(api, GADGETS)
    assert found["gadgets"]["kind"] == "Gadget"
    assert found["gadgets"]["shortNames"] == ["gd"]
    assert found["gadgets"]["singularName"] == "gadget"
    assert found["gadgets/status"]["kind"] == "Gadget"
    assert found["gadgets/scale"]["kind"] == "Scale"


def test_aggregated_discovery_is_given_or_declined_by_content_type(api: Wire) -> None:
    # kubectl asks so first; a server without it must answer with the plain list and not say `as=`.
    wanted = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    answer = api.get("/apis", accept=f"{wanted},application/json")
    assert answer.status == 200
    if "as=APIGroupDiscoveryList" in answer.headers["Content-Type"]:
        assert answer.body["kind"] == "APIGroupDiscoveryList"
        apps = next(item for item in answer.body["items"] if item["metadata"]["name"] == "apps")
        assert "deployments" in {entry["resource"] for entry in apps["versions"][0]["resources"]}
    else:
        assert answer.body["kind"] == "APIGroupList"


def test_an_unknown_path_is_not_found(api: Wire) -> None:
    for path in ("/nothing/here", "/apis/unknown.group.invalid/v1", "/apis/unknown.group.invalid/v1/things"):
        assert api.get(path).status == 404, path


def test_an_unknown_resource_of_a_known_version_is_not_found(api: Wire) -> None:
    assert api.get("/api/v1/namespaces/default/spoons").status == 404
    assert api.get(f"{GADGETS}/namespaces/default/spoons").status == 404


def test_discovery_of_an_unknown_group_is_not_found(api: Wire) -> None:
    assert api.get("/apis/unknown.group.invalid").status == 404
