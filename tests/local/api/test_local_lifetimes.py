"""How objects end: grace, finalizers, owners, namespaces."""

from __future__ import annotations

import pytest

from api_world import ApiWorld, Obj, config_map
from headgate_local.garbage import GarbageCollector, NamespaceController


@pytest.fixture
def world() -> ApiWorld:
    return ApiWorld()


def owned(name: str, *owners: Obj, block: bool = False) -> Obj:
    child = config_map(name)
    child["metadata"]["ownerReferences"] = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": block,
        }
        for owner in owners
    ]
    return child


def collect(world: ApiWorld) -> None:
    """Passes until nothing changes any more."""
    collector, before = GarbageCollector(world.client), -1
    while before != world.api.store.version:
        before = world.api.store.version
        collector.collect()


def left(world: ApiWorld) -> set[str]:
    return {obj["metadata"]["name"] for obj in world.client.list("ConfigMap", "default")}


def pod(name: str = "worker", **spec: object) -> Obj:
    containers = [{"name": "main", "image": "registry.local/worker:1"}]
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": containers, **spec}}


def test_dependents_of_a_deleted_owner_are_collected_down_to_the_last(world: ApiWorld) -> None:
    owner = world.client.create(config_map("owner"))
    child = world.client.create(owned("child", owner))
    world.client.create(owned("grandchild", child))
    world.client.delete("ConfigMap", "default", "owner")
    collect(world)
    assert left(world) == set()


def test_a_dependent_with_another_living_owner_stays_and_forgets_the_dead_one(world: ApiWorld) -> None:
    first, second = (world.client.create(config_map(name)) for name in ("first", "second"))
    world.client.create(owned("child", first, second))
    world.client.delete("ConfigMap", "default", "first")
    collect(world)
    child = world.client.get("ConfigMap", "default", "child")
    assert child is not None
    assert [one["name"] for one in child["metadata"]["ownerReferences"]] == ["second"]


def test_a_dependent_of_a_namesake_with_another_uid_is_collected(world: ApiWorld) -> None:
    former = world.client.create(config_map("owner"))
    world.client.create(owned("child", former))
    world.client.delete("ConfigMap", "default", "owner", propagation="Orphan")
    collector = GarbageCollector(world.client)
    collector.collect()
    collect(world)
    assert left(world) == {"child"}
    late = owned("late", former)
    world.client.create(late)
    world.client.create(config_map("owner"))
    collect(world)
    assert left(world) == {"child", "owner"}


def test_a_foreground_deletion_waits_for_blocking_dependents(world: ApiWorld) -> None:
    owner = world.client.create(config_map("owner"))
    child = owned("child", owner, block=True)
    child["metadata"]["finalizers"] = ["tests.dev/hold"]
    world.client.create(child)
    world.client.delete("ConfigMap", "default", "owner", propagation="Foreground")
    collect(world)
    assert left(world) == {"owner", "child"}
    world.client.patch_merge("ConfigMap", "default", "child", {"metadata": {"finalizers": None}})
    collect(world)
    assert left(world) == set()


def test_a_namespace_is_emptied_before_it_goes(world: ApiWorld) -> None:
    world.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}})
    inside = config_map("inside")
    inside["metadata"]["namespace"] = "team"
    world.client.create(inside)
    world.client.delete("Namespace", None, "team")
    marked = world.client.get("Namespace", None, "team")
    assert marked is not None
    assert marked["status"]["phase"] == "Terminating"
    controller = NamespaceController(world.client)
    controller.sync("", "team")
    assert world.client.list("ConfigMap", "team") == []
    assert world.client.get("Namespace", None, "team") is None


def test_a_running_pod_is_marked_and_goes_when_the_kubelet_says_so(world: ApiWorld) -> None:
    world.client.create(pod(nodeName="local", terminationGracePeriodSeconds=9))
    world.client.delete("Pod", "default", "worker")
    marked = world.client.get("Pod", "default", "worker")
    assert marked is not None
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 9
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:09Z"
    world.client.delete("Pod", "default", "worker", grace=0)
    assert world.client.get("Pod", "default", "worker") is None


def test_a_second_delete_of_a_pod_only_shortens_its_grace(world: ApiWorld) -> None:
    world.client.create(pod(nodeName="local"))
    for grace, expected in ((20, 20), (25, 20), (5, 5)):
        world.client.delete("Pod", "default", "worker", grace=grace)
        marked = world.client.get("Pod", "default", "worker")
        assert marked is not None
        assert marked["metadata"]["deletionGracePeriodSeconds"] == expected


def test_a_pod_that_never_reached_a_node_goes_at_once(world: ApiWorld) -> None:
    world.client.create(pod())
    world.client.delete("Pod", "default", "worker")
    assert world.client.get("Pod", "default", "worker") is None
