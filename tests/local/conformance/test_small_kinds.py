"""Rules of single kinds: Secrets, ConfigMaps, Leases, ControllerRevisions, Events and Services."""

from __future__ import annotations

import base64
import re

from kube_manifests import Namespace, configmap, fresh, lease, service
from kube_wire import Answer, Obj, Wire

NOW = "2026-01-02T03:04:05.678901Z"


def secret(name: str, **more: object) -> Obj:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, **more}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def test_string_data_of_a_secret_is_stored_encoded_and_not_shown(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("secrets"), secret("plain", stringData={"password": "hunter2"}))
    assert made["data"] == {"password": encoded("hunter2")}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


def test_string_data_beats_data(api: Wire, ns: Namespace) -> None:
    both = secret("both", data={"a": encoded("old"), "b": encoded("kept")}, stringData={"a": "new"})
    assert api.create(ns("secrets"), both)["data"] == {"a": encoded("new"), "b": encoded("kept")}


def test_data_of_a_secret_must_be_base64(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("secrets"), secret("broken", data={"a": "%%%"}))
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_an_immutable_secret_refuses_new_data(api: Wire, ns: Namespace) -> None:
    api.create(ns("secrets"), secret("sealed", immutable=True, stringData={"a": "1"}))
    answer = api.patch(ns("secrets", "sealed"), {"stringData": {"a": "2"}})
    assert (answer.status, answer.fields) == (422, {"data"})


def test_an_immutable_config_map_refuses_new_data_but_takes_labels(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), {**configmap("sealed", a="1"), "immutable": True})
    path = ns("configmaps", "sealed")
    answer = api.patch(path, {"data": {"a": "2"}})
    assert (answer.status, answer.fields) == (422, {"data"})
    assert "field is immutable when `immutable` is set" in answer.message
    assert api.patch(path, {"metadata": {"labels": {"a": "b"}}}).status == 200


def test_a_key_of_a_config_map_must_be_a_file_name(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), {**configmap("keys"), "data": {"a/b": "1"}})
    assert answer.status == 422
    assert answer.fields == {"data[a/b]"}


def revision(name: str, number: int = 1, **data: object) -> Obj:
    return {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": name},
        "data": data,
        "revision": number,
    }


def test_the_data_of_a_controller_revision_is_immutable(api: Wire, ns: Namespace) -> None:
    api.create(ns("controllerrevisions"), revision("fixed", template={"a": 1}))
    answer = api.patch(ns("controllerrevisions", "fixed"), {"data": {"template": {"a": 2}}})
    assert (answer.status, answer.reason, answer.fields) == (422, "Invalid", {"data"})


def test_the_number_of_a_controller_revision_may_change(api: Wire, ns: Namespace) -> None:
    api.create(ns("controllerrevisions"), revision("counted", a=1))
    answer = api.patch(ns("controllerrevisions", "counted"), {"revision": 7})
    assert (answer.status, answer.body["revision"]) == (200, 7)


def test_an_applied_controller_revision_takes_labels_and_owners_later(api: Wire, ns: Namespace) -> None:
    # Surprising: one that was posted with blanks between its JSON tokens, or with keys out of order, does not. A real
    # server compares the data byte by byte, and a patch rewrites them. What apply stores is in the right form already.
    text = b'{"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": {"name": "adopted"}, '
    text += b'"data": {"b": {"z": 1, "y": 2}, "a": [1, 2]}, "revision": 1}'
    path = ns("controllerrevisions", "adopted")
    assert api.apply(path, text).status == 201
    assert api.patch(path, {"metadata": {"labels": {"a": "b"}}}).status == 200
    assert api.apply(path, text).status == 200


def test_the_data_of_a_controller_revision_comes_back_as_it_was(api: Wire, ns: Namespace) -> None:
    data = {"nested": {"list": [1, "two", None, {"three": True}], "number": 1.5}, "empty": {}}
    api.create(ns("controllerrevisions"), revision("kept", **data))
    assert api.read(ns("controllerrevisions", "kept"))["data"] == data


def test_a_negative_revision_is_refused(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("controllerrevisions"), revision("negative", -1, a=1))
    assert (answer.status, answer.fields) == (422, {"revision"})


def test_times_of_a_lease_keep_their_microseconds(api: Wire, ns: Namespace) -> None:
    spec = {"holderIdentity": "one", "leaseDurationSeconds": 15, "acquireTime": NOW, "renewTime": NOW}
    made = api.create(ns("leases"), lease("precise", **spec, leaseTransitions=0))
    assert (made["spec"]["renewTime"], made["spec"]["leaseTransitions"]) == (NOW, 0)


def test_of_two_holders_of_a_lease_only_the_first_writes(api: Wire, ns: Namespace) -> None:
    seen = api.create(ns("leases"), lease("fought"))

    def take(holder: str) -> Answer:
        return api.put(ns("leases", "fought"), {**seen, "spec": {"holderIdentity": holder}})

    assert take("first").status == 200
    second = take("second")
    assert (second.status, second.reason) == (409, "Conflict")
    assert api.read(ns("leases", "fought"))["spec"]["holderIdentity"] == "first"


def test_a_lease_must_last(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("leases"), lease("short", leaseDurationSeconds=0))
    assert (answer.status, answer.fields) == (422, {"spec.leaseDurationSeconds"})


def test_a_lease_can_be_released(api: Wire, ns: Namespace) -> None:
    held = api.create(ns("leases"), lease("released", holderIdentity="one", renewTime=NOW))
    held["spec"]["holderIdentity"] = ""
    answer = api.put(ns("leases", "released"), held)
    assert answer.status == 200
    assert answer.body["spec"].get("holderIdentity", "") == ""


def event(ns: Namespace, involved: str, **more: object) -> Obj:
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": involved, "namespace": ns.name}
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"generateName": f"{involved}."},
        "involvedObject": about,
        "reason": "Promoted",
        "message": "version 2 serves",
        "type": "Normal",
        "source": {"component": "conformance"},
        **more,
    }


def test_an_event_is_created_with_a_generated_name(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("events"), event(ns, "told", count=1))
    assert re.fullmatch(r"told\.[a-z0-9]{5}", made["metadata"]["name"])
    assert made["involvedObject"]["name"] == "told"
    assert (made["reason"], made["type"], made["count"]) == ("Promoted", "Normal", 1)


def test_events_are_found_by_the_object_they_are_about(api: Wire, ns: Namespace) -> None:
    name = fresh("about")
    api.create(ns("events"), event(ns, name))
    api.create(ns("events"), event(ns, "another"))
    chosen = api.get(ns("events"), fieldSelector=f"involvedObject.name={name},involvedObject.kind=ConfigMap").body
    assert [item["involvedObject"]["name"] for item in chosen["items"]] == [name]


def test_events_are_found_by_type(api: Wire, ns: Namespace) -> None:
    name = fresh("typed")
    for kind in ("Normal", "Warning"):
        api.create(ns("events"), event(ns, name) | {"type": kind})
    chosen = api.get(ns("events"), fieldSelector=f"involvedObject.name={name},type=Warning").body
    assert [item["type"] for item in chosen["items"]] == ["Warning"]


def test_an_event_about_another_namespace_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = event(ns, "far")
    wanted["involvedObject"]["namespace"] = "another"
    answer = api.post(ns("events"), wanted)
    assert (answer.status, answer.fields) == (422, {"involvedObject.namespace"})


def test_events_are_the_same_in_both_groups(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("events"), event(ns, "twofold"))
    path = f"/apis/events.k8s.io/v1/namespaces/{ns.name}/events/{made['metadata']['name']}"
    other = api.read(path)
    assert other["metadata"]["uid"] == made["metadata"]["uid"]
    assert (other["regarding"]["name"], other["note"]) == ("twofold", "version 2 serves")


def test_a_service_is_filled_with_defaults(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("services"), service("filled", {"app": "x"}, ports=[{"port": 9080}]))
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["ports"] == [{"protocol": "TCP", "port": 9080, "targetPort": 9080}]
    assert made["spec"]["sessionAffinity"] == "None"
    assert made["spec"]["clusterIPs"] == [made["spec"]["clusterIP"]]


def test_two_services_have_two_addresses(api: Wire, ns: Namespace) -> None:
    addresses = {api.create(ns("services"), service(fresh("addr"), {}))["spec"]["clusterIP"] for _ in range(2)}
    assert len(addresses) == 2


def test_a_headless_service_has_no_address(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("services"), service("headless", {"app": "x"}, clusterIP="None"))
    assert made["spec"]["clusterIP"] == "None"


def test_several_ports_of_a_service_need_names(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("services"), service("nameless", {}, ports=[{"port": 81}, {"port": 82}]))
    assert answer.status == 422
    assert {"spec.ports[0].name", "spec.ports[1].name"} <= answer.fields


def test_the_address_of_a_service_cannot_be_changed(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("services"), service("fixed", {"app": "x"}))
    # A controller may write an annotation meanwhile, and a conflict would be told first.
    del made["metadata"]["resourceVersion"]
    made["spec"]["clusterIP"] = "10.1.2.3"
    made["spec"]["clusterIPs"] = ["10.1.2.3"]
    answer = api.put(ns("services", "fixed"), made)
    assert answer.status == 422
    assert "may not change once set" in answer.message


def test_a_namespace_is_active_and_labelled_with_its_name(api: Wire, ns: Namespace) -> None:
    made = api.read(f"/api/v1/namespaces/{ns.name}")
    assert made["status"]["phase"] == "Active"
    assert made["metadata"]["labels"]["kubernetes.io/metadata.name"] == ns.name
