"""What is rendered, in which order it is written, and what is never written at all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from core_lab import Lab, serving
from headgate_operator.api.model import ByAlias
from headgate_operator.api.spec import ModelSpec, RegistrySpec, ServiceSpec, ServingSpec, Spec
from headgate_operator.core.observed import PodNotReady, Resolved
from headgate_operator.core.plan import Apply, Delete, destroys, plan
from headgate_operator.core.revision import revision_hash, settings_of
from headgate_operator.core.stored import read_revision
from headgate_operator.core.wake import next_wake
from model_catalogue import MODEL, identity

LOADING = PodNotReady(reason="Loading", permanent=False, message="")


def the(lab: Lab, kind: str) -> dict[str, Any]:
    (found,) = (obj for (its_kind, _), obj in lab.live.items() if its_kind == kind)
    return found


def container(lab: Lab) -> dict[str, Any]:
    found: dict[str, Any] = the(lab, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return found


def with_everything() -> Lab:
    model = ModelSpec(
        name="Iris Ü", ref=ByAlias("champion"), registry=RegistrySpec(uri="http://other:1", secret_name="mlflow")
    )
    serving_spec = ServingSpec(image="own:1", resources={"limits": {"cpu": 1}}, env=({"name": "A", "value": "b"},))
    service = ServiceSpec(port=9000, labels={"team": "x", "headgate.dev/deployment": "evil"})
    lab = Lab(Spec(model=model, serving=serving_spec, service=service))
    lab.answer = Resolved(identity("1", name="Iris Ü", uri="http://other:1"))
    return lab.settle()


def test_a_pod_knows_its_model_and_its_registry() -> None:
    env = {variable["name"]: variable.get("value") for variable in container(with_everything())["env"]}
    assert env["HEADGATE_MODEL"] == "models:/Iris%20%C3%9C/1"
    assert env["HEADGATE_MODEL_NAME"] == "Iris Ü"
    assert env["HEADGATE_REGISTRY_URI"] == "http://other:1"
    assert env["HEADGATE_REGISTRY_CREDENTIALS"].startswith("/")
    assert (env["HEADGATE_PORT"], env["HEADGATE_OPS_PORT"], env["A"]) == ("8080", "8081", "b")


def test_without_a_secret_there_are_no_credentials() -> None:
    lab = serving()
    assert "HEADGATE_REGISTRY_CREDENTIALS" not in {variable["name"] for variable in container(lab)["env"]}
    assert {volume["name"] for volume in the(lab, "Deployment")["spec"]["template"]["spec"]["volumes"]} == {
        "cache",
        "tmp",
    }


def test_the_digest_is_read_from_an_optional_config_map_or_given() -> None:
    lab = serving()
    (digest,) = (variable for variable in container(lab)["env"] if variable["name"] == "HEADGATE_MODEL_DIGEST")
    assert digest["valueFrom"]["configMapKeyRef"]["optional"] is True
    assert digest["valueFrom"]["configMapKeyRef"]["name"] == the(lab, "Deployment")["metadata"]["name"]
    given = "sha256:" + f"{'1':0>64}"
    lab = Lab(Spec(model=ModelSpec(name=MODEL, ref=ByAlias("champion"), digest=given))).settle()
    assert {"name": "HEADGATE_MODEL_DIGEST", "value": given} in container(lab)["env"]


def test_pods_are_restricted_and_get_no_service_links() -> None:
    lab = serving()
    pod = the(lab, "Deployment")["spec"]["template"]["spec"]
    assert (pod["enableServiceLinks"], pod["automountServiceAccountToken"]) == (False, False)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container(lab)["securityContext"]["readOnlyRootFilesystem"] is True
    assert container(lab)["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container(lab)["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "ops"}


def test_a_kubelet_that_is_restarted_takes_no_pod_for_one_that_has_not_started() -> None:
    lab = serving()
    assert "startupProbe" not in container(lab)
    assert container(lab)["livenessProbe"]["initialDelaySeconds"] >= 60, "a slow start is no death"


def test_pods_that_are_slow_because_their_node_is_busy_keep_their_traffic() -> None:
    probe = container(serving())["readinessProbe"]
    assert probe["failureThreshold"] * probe["timeoutSeconds"] >= 15, "longer than such a moment lasts"
    assert probe["failureThreshold"] * probe["periodSeconds"] <= 6, "a pod that says no is believed soon"


def test_our_labels_win_over_the_users() -> None:
    service = with_everything().live["Service", "iris"]
    assert service["metadata"]["labels"]["headgate.dev/deployment"] == "iris"
    assert service["metadata"]["labels"]["team"] == "x"
    assert service["spec"]["ports"][0]["port"] == 9000


def test_children_have_a_controller_and_block_no_deletion() -> None:
    lab = serving()
    for obj in lab.live.values():
        (owner,) = obj["metadata"]["ownerReferences"]
        assert (owner["uid"], owner["controller"], owner["blockOwnerDeletion"]) == ("uid-1", True, False)
        assert "finalizers" not in obj["metadata"]


def test_a_revision_is_read_as_it_was_stored() -> None:
    lab = serving()
    view = lab.view()
    assert read_revision(the(lab, "ControllerRevision")) == view.revisions[0]
    assert read_revision({"metadata": {"labels": {}}, "data": {}}) is None


def test_absent_settings_and_default_settings_are_the_same_revision() -> None:
    plain = Spec(model=ModelSpec(name=MODEL, ref=ByAlias("champion")))
    empty = replace(plain, serving=ServingSpec(resources={}, env=()))
    assert settings_of(plain) == settings_of(empty) == {}


@pytest.mark.parametrize(
    "other",
    [
        {"identity": identity("2")},
        {"identity": identity("1", source="models:/m-other")},
        {"identity": identity("1", uri="http://other:5000")},
        {"digest": "sha256:0"},
        {"settings": {"env": []}},
        {"image": "server:2"},
        {"restart": 1},
    ],
)
def test_whatever_makes_a_revision_is_in_its_name(other: dict[str, Any]) -> None:
    same: dict[str, Any] = {"identity": identity("1"), "digest": None, "settings": {}, "image": "server:1"}
    assert revision_hash(**same) == revision_hash(**same)
    assert revision_hash(**same) != revision_hash(**{**same, **other})
    assert revision_hash(**same) == revision_hash(**{**same, "identity": replace(identity("1"), run_id="other")})


def test_capacity_is_added_before_traffic_moves_and_removed_after() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    first = [write.obj for write in lab.writes if isinstance(write, Apply) and write.kind in {"Deployment", "Service"}]
    (stable,) = {obj["metadata"]["labels"]["headgate.dev/revision"] for obj in first if obj["kind"] == "Deployment"} - {
        lab.status.candidate.revision if lab.status.candidate else ""
    }
    switch = next(n for n, o in enumerate(first) if o["spec"]["selector"].get("headgate.dev/revision") == stable)
    assert any(obj["kind"] == "Deployment" for obj in first[:switch])
    lab.writes.clear()
    lab.behaviours.clear()
    lab.wait(900)
    kinds = [(type(write).__name__, write.name) for write in lab.writes if write.kind in {"Service", "Deployment"}]
    assert kinds[0] == ("Apply", "iris"), "the switch comes first"
    assert kinds[-1][0] == "Delete", "and the removal last"


def test_a_pass_destroys_at_most_one_thing() -> None:
    lab = serving()
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    lab.want("1")
    for _ in range(10):
        before = len(lab.writes)
        lab.step()
        destroyed = [write for write in lab.writes[before:] if destroys(write)]
        assert len(destroyed) <= 1
        assert not destroyed or lab.writes[-1] is destroyed[0], "and nothing is written after it"


def test_new_objects_are_never_forced_and_known_ones_are_fenced() -> None:
    lab = serving()
    assert all(not write.force for write in lab.writes[:4] if isinstance(write, Apply))
    lab.edit(replicas=3)
    lab.writes.clear()
    lab.settle()
    (write,) = lab.writes
    assert isinstance(write, Apply)
    assert write.force
    assert {"uid", "resourceVersion"} <= set(write.obj["metadata"])


def test_what_the_public_service_selects_is_never_removed_whatever_status_says() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(900)
    view = lab.view()
    forgotten = replace(lab.status, stable=None, previous=None)
    writes = plan(view, forgotten, lab.live, frozenset())
    assert not any(isinstance(write, Delete) and write.kind == "Deployment" for write in writes)
    assert not any(write.name == "iris" for write in writes), "and its selector stays"


def test_the_next_look_is_never_in_a_hot_loop() -> None:
    lab = serving()
    assert next_wake(lab.view(), lab.status, 300.0) == 300.0 or lab.status.previous is not None
    lab.want("2")
    lab.behaves("2", says=LOADING)
    lab.settle()
    assert next_wake(lab.view(), lab.status, 300.0) == 1.0
    lab.edit(paused=True)
    lab.wait(2000)
    assert next_wake(lab.view(), lab.status, 300.0) >= 1.0


def test_a_stored_revision_that_cannot_be_read_is_never_deleted() -> None:
    lab = serving()
    lab.want("2")
    lab.wait(900)
    (first,) = (
        obj
        for (kind, _), obj in lab.live.items()
        if kind == "ControllerRevision" and obj["data"]["identity"]["version"] == "1"
    )
    first["data"]["image"] = {"ref": "as a later operator might write it"}
    before = {key for key in lab.live if key[0] in {"ControllerRevision", "ConfigMap"}}
    lab.settle()
    assert {key for key in lab.live if key[0] in {"ControllerRevision", "ConfigMap"}} == before
