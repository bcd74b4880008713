"""How objects end: finalizers, owners and their garbage, and the deletion of a namespace."""

from __future__ import annotations

from kube_manifests import Namespace, configmap, fresh, gadget, owner
from kube_wire import Obj, Wire, eventually

FINALIZER = "conformance.headgate.dev/hold"


def held(name: str) -> Obj:
    obj = configmap(name, a="1")
    obj["metadata"]["finalizers"] = [FINALIZER]
    return obj


def options(policy: str) -> Obj:
    return {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": policy}


def child(api: Wire, ns: Namespace, *owners: Obj, **more: object) -> str:
    """The path of a config map with these owners."""
    wanted = configmap(fresh("child"))
    wanted["metadata"]["ownerReferences"] = [owner(obj, **more) for obj in owners]
    api.create(ns("configmaps"), wanted)
    return ns("configmaps", wanted["metadata"]["name"])


def parent(api: Wire, ns: Namespace) -> Obj:
    return api.create(ns("configmaps"), configmap(fresh("parent")))


def path_of(ns: Namespace, obj: Obj) -> str:
    return ns("configmaps", obj["metadata"]["name"])


def gone(api: Wire, path: str) -> bool:
    return api.get(path).status == 404


def test_an_object_with_a_finalizer_is_only_marked_by_a_delete(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("marked"))
    answer = api.delete(ns("configmaps", "marked"))
    assert answer.status == 200
    seen = api.read(ns("configmaps", "marked"))["metadata"]
    assert seen["deletionTimestamp"]
    assert seen["finalizers"] == [FINALIZER]
    api.patch(ns("configmaps", "marked"), {"metadata": {"finalizers": None}})


def test_the_answer_to_a_delete_that_waits_is_the_object(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("answered"))
    answer = api.delete(ns("configmaps", "answered"))
    assert (answer.body["kind"], answer.body["metadata"]["name"]) == ("ConfigMap", "answered")
    api.patch(ns("configmaps", "answered"), {"metadata": {"finalizers": None}})


def test_the_last_finalizer_taken_away_ends_a_marked_object(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("ended"))
    api.delete(ns("configmaps", "ended"))
    assert api.patch(ns("configmaps", "ended"), {"metadata": {"finalizers": []}}).status == 200
    assert gone(api, ns("configmaps", "ended"))


def test_a_second_delete_keeps_the_time_of_the_first(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("twice"))
    api.delete(ns("configmaps", "twice"))
    first = api.read(ns("configmaps", "twice"))["metadata"]
    assert api.delete(ns("configmaps", "twice")).status == 200
    second = api.read(ns("configmaps", "twice"))["metadata"]
    assert second["deletionTimestamp"] == first["deletionTimestamp"]
    api.patch(ns("configmaps", "twice"), {"metadata": {"finalizers": None}})


def test_a_marked_object_can_still_be_changed(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("changed"))
    api.delete(ns("configmaps", "changed"))
    assert api.patch(ns("configmaps", "changed"), {"data": {"a": "2"}}).body["data"] == {"a": "2"}
    api.patch(ns("configmaps", "changed"), {"metadata": {"finalizers": None}})


def test_a_marked_object_takes_no_new_finalizer(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("closed"))
    api.delete(ns("configmaps", "closed"))
    more = {"metadata": {"finalizers": [FINALIZER, "conformance.headgate.dev/late"]}}
    answer = api.patch(ns("configmaps", "closed"), more)
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"metadata.finalizers"})
    assert "no new finalizers can be added if the object is being deleted" in answer.message
    api.patch(ns("configmaps", "closed"), {"metadata": {"finalizers": None}})


def test_a_mark_raises_the_generation_of_a_custom_resource(api: Wire, ns: Namespace) -> None:
    api.create(ns("gadgets"), gadget("generation", code="ab", metadata={"finalizers": [FINALIZER]}))
    api.delete(ns("gadgets", "generation"))
    assert api.read(ns("gadgets", "generation"))["metadata"]["generation"] == 2
    api.patch(ns("gadgets", "generation"), {"metadata": {"finalizers": None}})


def test_a_mark_cannot_be_taken_back(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), held("doomed"))
    api.delete(ns("configmaps", "doomed"))
    api.patch(ns("configmaps", "doomed"), {"metadata": {"deletionTimestamp": None}})
    assert api.read(ns("configmaps", "doomed"))["metadata"]["deletionTimestamp"]
    api.patch(ns("configmaps", "doomed"), {"metadata": {"finalizers": None}})


def test_a_watch_sees_the_mark_and_then_the_end(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), held("seen"))["metadata"]
    query = {"fieldSelector": "metadata.name=seen", "resourceVersion": made["resourceVersion"]}
    with api.watch(ns("configmaps"), **query) as events:
        api.delete(ns("configmaps", "seen"))
        marked = next(events)
        api.patch(ns("configmaps", "seen"), {"metadata": {"finalizers": None}})
        ended = next(events)
    assert (marked["type"], "deletionTimestamp" in marked["object"]["metadata"]) == ("MODIFIED", True)
    assert ended["type"] == "DELETED"


def test_children_go_after_their_owner(api: Wire, ns: Namespace) -> None:
    made = parent(api, ns)
    path = child(api, ns, made)
    assert api.delete(path_of(ns, made), options("Background")).status == 200
    assert gone(api, path_of(ns, made))
    eventually(lambda: gone(api, path), "the child is collected")


def test_children_of_a_custom_resource_go_after_it(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget(code="ab"))
    path = child(api, ns, made, controller=True, blockOwnerDeletion=False)
    api.delete(ns("gadgets", made["metadata"]["name"]))
    # A real cluster's collector learns of a new kind within 30 s.
    eventually(lambda: gone(api, path), "the child is collected", 60)


def test_grandchildren_go_too(api: Wire, ns: Namespace) -> None:
    made = parent(api, ns)
    middle = child(api, ns, made)
    path = child(api, ns, api.read(middle))
    api.delete(path_of(ns, made))
    eventually(lambda: gone(api, path), "the grandchild is collected")


def test_a_child_stays_while_another_owner_lives(api: Wire, ns: Namespace) -> None:
    first, second = parent(api, ns), parent(api, ns)
    path = child(api, ns, first, second)
    api.delete(path_of(ns, first))

    def references() -> list[str]:
        return [reference["uid"] for reference in api.read(path)["metadata"].get("ownerReferences", [])]

    eventually(lambda: references() == [second["metadata"]["uid"]], "the dead owner is no longer named")


def test_orphaned_children_stay_and_lose_their_owner(api: Wire, ns: Namespace) -> None:
    made = parent(api, ns)
    path = child(api, ns, made)
    api.delete(path_of(ns, made), options("Orphan"))
    eventually(lambda: gone(api, path_of(ns, made)), "the owner is gone")
    assert "ownerReferences" not in api.read(path)["metadata"]


def test_an_owner_deleted_in_the_foreground_outlives_its_children(api: Wire, ns: Namespace) -> None:
    made = parent(api, ns)
    path = child(api, ns, made, blockOwnerDeletion=True)
    api.patch(path, {"metadata": {"finalizers": [FINALIZER]}})
    assert api.delete(path_of(ns, made), options("Foreground")).status == 200
    eventually(lambda: "deletionTimestamp" in api.read(path)["metadata"], "the child is marked")
    waiting = api.read(path_of(ns, made))["metadata"]
    assert waiting["finalizers"] == ["foregroundDeletion"]
    assert waiting["deletionTimestamp"]
    api.patch(path, {"metadata": {"finalizers": None}})
    eventually(lambda: gone(api, path_of(ns, made)), "the owner is gone after its child")


def test_a_child_of_an_owner_that_never_was_is_collected(api: Wire, ns: Namespace) -> None:
    made = parent(api, ns)
    made["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    path = child(api, ns, made)
    eventually(lambda: gone(api, path), "the child is collected")
    # The namesake that lives is not touched.
    assert not gone(api, path_of(ns, made))


def test_an_unknown_way_of_propagation_is_refused(api: Wire, ns: Namespace) -> None:
    made = parent(api, ns)
    answer = api.delete(path_of(ns, made), options("Sideways"))
    assert (answer.status, answer.reason) == (422, "Invalid")


def test_an_owner_reference_needs_its_uid(api: Wire, ns: Namespace) -> None:
    wanted = configmap()
    wanted["metadata"]["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": ""}]
    answer = api.post(ns("configmaps"), wanted)
    assert (answer.status, answer.fields) == (422, {"metadata.ownerReferences.uid"})


def test_a_deleted_namespace_takes_its_objects_along(api: Wire) -> None:
    name = fresh("conformance-short")
    path = f"/api/v1/namespaces/{name}"
    api.create("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    inside = Namespace(name)
    api.create(inside("configmaps"), configmap("inside"))
    api.create(inside("gadgets"), gadget("inside", code="ab"))
    assert api.delete(path).status == 200
    eventually(lambda: gone(api, path), "the namespace is gone")
    assert gone(api, inside("configmaps", "inside"))
