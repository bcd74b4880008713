"""Names that are taken, objects that go and come back, an operator that dies: nothing foreign is touched, nothing of
ours is lost or left over."""

from collections.abc import Iterator
from contextlib import contextmanager

from fault_lab import KINDS, Obj, Subject


def test_a_foreign_service_of_the_same_name_is_left_alone_and_named(iris: Subject) -> None:
    iris.release()
    mine = {"metadata": {"name": iris.name}, "spec": {"selector": {"app": "theirs"}, "ports": [{"port": 8080}]}}
    iris.lab.wire.create(f"/api/v1/namespaces/{iris.namespace}/services", mine)
    theirs = iris.child("Service", iris.name)["spec"]
    iris.apply()
    message = iris.waits_for("Ready", "False", "NameConflict")
    assert f"Service {iris.name} exists and belongs to somebody else" in message
    assert "rename" in message
    assert iris.condition("Stalled")[:2] == ("True", "NameConflict")
    assert iris.pods() == []
    left = iris.child("Service", iris.name)
    assert left["spec"] == theirs
    assert owned(left) == []
    assert "headgate" not in {entry["manager"] for entry in left["metadata"]["managedFields"]}

    iris.kubectl("delete", "service", iris.name)
    iris.serves("1")
    assert iris.condition("Stalled")[0] == "False"


def test_a_model_deployment_that_is_deleted_in_mid_switch_leaves_nothing(iris: Subject) -> None:
    iris.goes_live()
    with following(iris) as seen:
        iris.release()
        next(obj for obj in seen if obj.get("status", {}).get("rollout", {}).get("phase") == "Switching")
    iris.kubectl("delete", "mdep", iris.name)
    iris.until(lambda: not iris.all_children(), "all children go")
    other(iris)
    assert iris.read() == {}
    assert iris.all_children() == [], "nothing comes back"
    assert iris.child("Service", iris.name) == {}


def test_a_model_deployment_that_is_deleted_and_made_again_at_once_is_a_new_one(iris: Subject) -> None:
    iris.goes_live()
    old = iris.read()["metadata"]["uid"]
    pods = iris.pods()
    iris.kubectl("delete", "mdep", iris.name)
    iris.apply()
    iris.serves("1")
    new = iris.read()["metadata"]["uid"]
    assert new != old
    assert iris.outcomes() == ["Promoted"]
    iris.until(lambda: not set(iris.pods()) & set(pods), "the old one's pods go")
    owners = {ref["uid"] for obj in iris.all_children() for ref in owned(obj) if ref["kind"] == "ModelDeployment"}
    assert owners == {new}


def test_children_that_were_orphaned_are_taken_over_without_a_restart(iris: Subject) -> None:
    iris.goes_live()
    pods, revision = iris.pods(), iris.status["stable"]["revision"]
    with iris.load() as load:
        iris.kubectl("delete", "mdep", iris.name, "--cascade=orphan")
        iris.until(lambda: iris.read() == {}, "the ModelDeployment is gone")
        iris.until(lambda: not [r for d in iris.children("Deployment") for r in owned(d)], "orphaned")
        iris.apply()
        iris.serves("1")
        iris.answered(load, "1")
    assert load.lost == []
    assert iris.outcomes() == ["Adopted"]
    assert iris.status["stable"]["revision"] == revision
    assert iris.pods() == pods
    uid = iris.read()["metadata"]["uid"]
    iris.until(lambda: [r["uid"] for r in owned(iris.child("Service", iris.name))] == [uid], "adopted")
    assert "RolloutStarted" not in {e["reason"] for e in of_uid(iris, uid)}


def test_an_operator_that_is_killed_and_comes_back_at_rest_writes_nothing(iris: Subject) -> None:
    iris.goes_live()
    iris.lab.stop_operator(kill=True)
    before = iris.versions_to_the_world()
    iris.lab.start_operator("--resync", "500ms")
    iris.until(lambda: iris.lab.metric('headgate_reconcile_total{result="same"}') >= 5, "passes at rest")
    assert iris.lab.metric('headgate_reconcile_total{result="changed"}') == 0
    assert iris.versions_to_the_world() == before
    assert iris.ask().version == "1"
    iris.lab.stop_operator()
    iris.lab.start_operator()


def other(subject: Subject) -> None:
    """Another ModelDeployment goes live: the operator has been at work since, and had time for mischief."""
    with subject.lab.subject("other") as witness:
        witness.goes_live()


@contextmanager
def following(subject: Subject) -> Iterator[Iterator[Obj]]:
    """Every state that the ModelDeployment goes through, as the API server tells them."""
    path = f"/{KINDS['ModelDeployment'].format(subject.namespace)}"
    version = subject.read()["metadata"]["resourceVersion"]
    with subject.lab.wire.watch(path, timeoutSeconds=60, resourceVersion=version) as events:
        yield (event["object"] for event in events)


def owned(obj: Obj) -> list[Obj]:
    return list(obj.get("metadata", {}).get("ownerReferences", []))


def of_uid(subject: Subject, uid: str) -> list[Obj]:
    items: list[Obj] = subject.lab.wire.read(f"/api/v1/namespaces/{subject.namespace}/events")["items"]
    return [e for e in items if (e.get("involvedObject") or {}).get("uid") == uid]
