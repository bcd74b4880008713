"""The strategic merge patch of built-in kinds, which is what kubectl sends: lists that are maps, and directives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from kube_manifests import Namespace, deployment, fresh, service
from kube_wire import STRATEGIC, Answer, Obj, Wire


@pytest.fixture(scope="module")
def web(api: Wire, ns: Namespace) -> Iterator[str]:
    """A Deployment with a list of every sort. No check changes it: every patch is a dry run."""
    name = fresh("web")
    made = deployment(name)
    spec = made["spec"]["template"]["spec"]
    [main] = spec["containers"]
    main |= {"env": [{"name": one, "value": one} for one in "ABC"], "args": ["1", "2"]}
    main["ports"] = [{"containerPort": 80, "name": "http"}, {"containerPort": 90, "name": "admin"}]
    spec["containers"].append({"name": "side", "image": "conformance.invalid/side:1"})
    spec["volumes"] = [{"name": "scratch", "emptyDir": {}}, {"name": "config", "configMap": {"name": "config"}}]
    made["metadata"]["labels"] = {"a": "1"}
    made["metadata"]["finalizers"] = ["conformance.headgate.dev/one", "conformance.headgate.dev/two"]
    api.create(ns("deployments"), made)
    yield name
    api.patch(ns("deployments", name), {"metadata": {"finalizers": None}})


@pytest.fixture(scope="module")
def front(api: Wire, ns: Namespace) -> str:
    name = fresh("front")
    ports = [{"name": "http", "port": 9080}, {"name": "admin", "port": 9090, "protocol": "UDP"}]
    api.create(ns("services"), service(name, {"app": name, "tier": "x"}, ports=ports))
    return name


def in_main(**fields: Any) -> Obj:
    return in_pod(containers=[{"name": "main", **fields}])


def in_pod(**fields: Any) -> Obj:
    return {"spec": {"template": {"spec": fields}}}


class Patches:
    """Dry runs of strategic patches of one object."""

    def __init__(self, api: Wire, path: str) -> None:
        self._api, self._path = api, path

    def __call__(self, patch: Any) -> Answer:
        return self._api.patch(self._path, patch, STRATEGIC, dryRun="All")

    def taken(self, patch: Obj) -> Obj:
        answer = self(patch)
        assert answer.status == 200, answer.body
        return dict(answer.body)

    def pod(self, patch: Obj) -> Obj:
        return dict(self.taken(patch)["spec"]["template"]["spec"])

    def main(self, patch: Obj) -> Obj:
        return next(one for one in self.pod(patch)["containers"] if one["name"] == "main")

    def env(self, patch: Obj) -> list[str]:
        return [one["name"] for one in self.main(patch).get("env", [])]


@pytest.fixture
def patch_web(api: Wire, ns: Namespace, web: str) -> Patches:
    return Patches(api, ns("deployments", web))


@pytest.fixture
def patch_front(api: Wire, ns: Namespace, front: str) -> Patches:
    return Patches(api, ns("services", front))


# --- lists that are maps --------------------------------------------------------------------------------------------


def test_a_named_item_is_changed_and_a_new_one_comes_first(patch_web: Patches) -> None:
    seen = patch_web.main(in_main(env=[{"name": "D", "value": "d"}, {"name": "A", "value": "changed"}]))["env"]
    assert [(one["name"], one["value"]) for one in seen] == [("D", "d"), ("A", "changed"), ("B", "B"), ("C", "C")]


def test_a_new_container_stands_before_those_that_are_there(patch_web: Patches) -> None:
    seen = patch_web.pod(in_pod(containers=[{"name": "new", "image": "conformance.invalid/new:1"}]))["containers"]
    assert [one["name"] for one in seen] == ["new", "main", "side"]


def test_an_item_is_deleted_by_its_key(patch_web: Patches) -> None:
    assert patch_web.env(in_main(env=[{"name": "B", "$patch": "delete"}])) == ["A", "C"]
    assert patch_web.env(in_main(env=[{"name": "unknown", "$patch": "delete"}])) == ["A", "B", "C"]


def test_a_list_is_replaced_when_the_patch_says_so(patch_web: Patches) -> None:
    assert patch_web.env(in_main(env=[{"name": "Z", "value": "z"}, {"$patch": "replace"}])) == ["Z"]


def test_a_list_without_a_key_is_replaced(patch_web: Patches) -> None:
    assert patch_web.main(in_main(args=["3"]))["args"] == ["3"]


def test_null_takes_a_list_away(patch_web: Patches) -> None:
    assert patch_web.env(in_main(env=None)) == []


def test_ports_of_a_container_merge_by_number(patch_web: Patches) -> None:
    seen = patch_web.main(in_main(ports=[{"containerPort": 80, "name": "web"}]))["ports"]
    assert [(one["containerPort"], one["name"]) for one in seen] == [(80, "web"), (90, "admin")]
    assert [one["containerPort"] for one in patch_web.main(
        in_main(ports=[{"containerPort": 80, "$patch": "delete"}]))["ports"]] == [90]  # fmt: skip


def test_an_item_without_its_key_cannot_be_merged(patch_web: Patches) -> None:
    answer = patch_web(in_pod(containers=[{"image": "conformance.invalid/new:1"}]))
    assert answer.status == 500
    assert "does not contain declared merge key: name" in answer.message


def test_nulls_in_a_new_item_mean_nothing(patch_web: Patches) -> None:
    [new, *_] = patch_web.pod(in_pod(containers=[{"name": "new", "image": "x:1", "env": None}]))["containers"]
    assert "env" not in new


# --- order ----------------------------------------------------------------------------------------------------------


def test_a_list_is_put_into_an_order(patch_web: Patches) -> None:
    order = {"$setElementOrder/containers": [{"name": "side"}, {"name": "main"}]}
    assert [one["name"] for one in patch_web.pod(in_pod(**order))["containers"]] == ["side", "main"]


def test_items_that_the_order_leaves_out_stay_before_their_followers(patch_web: Patches) -> None:
    assert patch_web.env(in_main(**{"$setElementOrder/env": [{"name": "C"}, {"name": "A"}]})) == ["B", "C", "A"]


def test_a_new_item_gets_its_place_by_the_order(patch_web: Patches) -> None:
    order = [{"name": "N"}, {"name": "A"}, {"name": "C"}]
    patch = in_main(**{"$setElementOrder/env": order, "env": [{"name": "N", "value": "n"}]})
    assert patch_web.env(patch) == ["N", "A", "B", "C"]


def test_an_order_that_misses_an_item_of_the_patch_is_refused(patch_web: Patches) -> None:
    answer = patch_web(in_main(**{"$setElementOrder/env": [{"name": "A"}], "env": [{"name": "N", "value": "n"}]}))
    assert answer.status == 500
    assert "doesn't match $setElementOrder list" in answer.message


def test_an_order_must_be_a_list(patch_web: Patches) -> None:
    answer = patch_web(in_main(**{"$setElementOrder/env": "A"}))
    assert (answer.status, answer.message) == (500, "expected a []interface {}, but received a string")


# --- lists of plain values ------------------------------------------------------------------------------------------


ONE, TWO, THREE = (f"conformance.headgate.dev/{name}" for name in ("one", "two", "three"))


@pytest.mark.parametrize(
    ("patch", "wanted"),
    [
        ({"finalizers": [THREE, TWO]}, [THREE, ONE, TWO]),
        ({"$deleteFromPrimitiveList/finalizers": [ONE]}, [TWO]),
        ({"$setElementOrder/finalizers": [TWO, ONE]}, [TWO, ONE]),
        (
            {
                "$deleteFromPrimitiveList/finalizers": [ONE],
                "$setElementOrder/finalizers": [THREE, TWO],
                "finalizers": [THREE],
            },
            [THREE, TWO],
        ),
    ],
    ids=["merged", "deleted from", "ordered", "all at once"],
)
def test_a_list_of_texts_is_a_set(patch_web: Patches, patch: Obj, wanted: list[str]) -> None:
    assert patch_web.taken({"metadata": patch})["metadata"]["finalizers"] == wanted


# --- maps -----------------------------------------------------------------------------------------------------------


def test_a_map_is_merged_replaced_or_emptied(patch_web: Patches, web: str) -> None:
    def labels(patch: Obj) -> Obj:
        return dict(patch_web.taken({"metadata": {"labels": patch}})["metadata"].get("labels", {}))

    assert labels({"b": "2"}) == {"a": "1", "b": "2"}
    assert labels({"a": None, "b": "2"}) == {"b": "2"}
    assert labels({"$patch": "replace", "b": "2"}) == {"b": "2"}
    assert labels({"$patch": "delete"}) == {}


def test_retained_keys_take_the_others_away(patch_web: Patches) -> None:
    strategy = {"$retainKeys": ["type"], "type": "Recreate"}
    assert patch_web.taken({"spec": {"strategy": strategy}})["spec"]["strategy"] == {"type": "Recreate"}
    volume = {"$retainKeys": ["name", "secret"], "name": "scratch", "secret": {"secretName": "s"}}
    [seen, other] = patch_web.pod(in_pod(volumes=[volume]))["volumes"]
    assert seen == {"name": "scratch", "secret": {"secretName": "s", "defaultMode": 420}}
    assert other["name"] == "config"


def test_without_retained_keys_two_ways_stand_side_by_side_and_are_refused(patch_web: Patches) -> None:
    answer = patch_web({"spec": {"strategy": {"type": "Recreate"}}})
    assert (answer.status, answer.fields) == (422, {"spec.strategy.rollingUpdate"})
    answer = patch_web(in_pod(volumes=[{"name": "scratch", "secret": {"secretName": "s"}}]))
    assert (answer.status, answer.fields) == (422, {"spec.template.spec.volumes[0].secret"})
    assert "may not specify more than 1 volume type" in answer.message


def test_keys_of_the_patch_must_be_retained(patch_web: Patches) -> None:
    for keys in (["name"], "name"):
        answer = patch_web(in_pod(volumes=[{"$retainKeys": keys, "name": "scratch", "secret": {"secretName": "s"}}]))
        assert (answer.status, answer.message) == (400, "invalid patch format of retainKeys")


# --- what is no patch -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patch", "why"),
    [
        (in_pod(containers=[{"name": "main", "$patch": "spoon"}]), "unknown patch type: spoon in map: "),
        ({"spec": {"$patch": "spoon"}}, "unknown patch type: spoon in map: map[$patch:spoon]"),
        (
            in_pod(containers=[{"name": "main", "$patch": "merge"}]),
            "merging lists cannot yet be specified in the patch",
        ),
        (in_pod(containers=[{"$patch": "delete"}]), "does not contain declared merge key: name"),
    ],
    ids=["an item", "a map", "merge of an item", "delete of no item"],
)
def test_a_directive_that_makes_no_sense_is_refused(patch_web: Patches, patch: Obj, why: str) -> None:
    answer = patch_web(patch)
    assert answer.status == 500
    assert why in answer.message


@pytest.mark.parametrize("patch", [["spec"], "spec"], ids=["a list", "a text"])
def test_a_patch_must_be_an_object(patch_web: Patches, patch: Any) -> None:
    answer = patch_web(patch)
    assert (answer.status, answer.reason) == (400, "BadRequest")
    assert answer.message.endswith("into Go value of type map[string]interface {}")


def test_an_object_cannot_be_deleted_by_a_patch(patch_web: Patches, web: str) -> None:
    answer = patch_web({"$patch": "delete"})
    assert answer.status == 400
    wanted = f"the name of the object ({web} based on URL) was undeterminable: name must be provided"
    assert answer.message == wanted


def test_a_patch_that_makes_no_object_of_the_kind_is_invalid(patch_web: Patches) -> None:
    answer = patch_web({"metadata": {"labels": ["a"]}})
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"patch"})


# --- Services -------------------------------------------------------------------------------------------------------


def test_ports_of_a_service_merge_by_number(patch_front: Patches) -> None:
    def ports(*patch: Obj, **more: Any) -> list[tuple[str, int]]:
        seen = patch_front.taken({"spec": {"ports": list(patch), **more}})["spec"]["ports"]
        return [(one["name"], one["targetPort"]) for one in seen]

    assert ports({"port": 9080, "targetPort": 1}) == [("http", 1), ("admin", 9090)]
    assert ports({"port": 9081, "name": "new"}) == [("new", 9081), ("http", 9080), ("admin", 9090)]
    assert ports({"port": 9090, "$patch": "delete"}) == [("http", 9080)]
    order = {"$setElementOrder/ports": [{"port": 9090}, {"port": 9080}]}
    assert ports(**order) == [("admin", 9090), ("http", 9080)]


def test_the_selector_of_a_service_is_merged(patch_front: Patches, front: str) -> None:
    seen = patch_front.taken({"spec": {"selector": {"tier": None, "color": "green"}}})
    assert seen["spec"]["selector"] == {"app": front, "color": "green"}
