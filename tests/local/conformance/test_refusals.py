"""The Status object of each refusal: clients decide by its reason, people read its message."""

from __future__ import annotations

from kube_manifests import GROUP, Namespace, configmap, deployment, gadget, lease, service
from kube_wire import Wire


def test_not_found_names_resource_and_object(api: Wire, ns: Namespace) -> None:
    answer = api.get(ns("deployments", "missing"))
    assert answer.status == 404
    assert answer.body == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "missing" not found',
        "reason": "NotFound",
        "details": {"name": "missing", "group": "apps", "kind": "deployments"},
        "code": 404,
    }


def test_not_found_of_the_core_group_has_no_group(api: Wire, ns: Namespace) -> None:
    answer = api.get(ns("configmaps", "missing"))
    assert answer.message == 'configmaps "missing" not found'
    assert answer.body["details"] == {"name": "missing", "kind": "configmaps"}


def test_not_found_of_a_custom_resource_names_its_group(api: Wire, ns: Namespace) -> None:
    answer = api.get(ns("gadgets", "missing"))
    assert answer.message == f'gadgets.{GROUP} "missing" not found'


def test_delete_and_patch_of_a_missing_object_are_not_found(api: Wire, ns: Namespace) -> None:
    for answer in (api.delete(ns("configmaps", "missing")), api.patch(ns("configmaps", "missing"), {"data": {}})):
        assert (answer.status, answer.reason) == (404, "NotFound")


def test_a_second_create_of_a_name_already_exists(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), configmap("twice"))
    answer = api.post(ns("configmaps"), configmap("twice"))
    assert (answer.status, answer.reason) == (409, "AlreadyExists")
    assert answer.message == 'configmaps "twice" already exists'
    assert answer.body["details"] == {"name": "twice", "kind": "configmaps"}


def test_an_old_resource_version_is_a_conflict_with_the_known_message(api: Wire, ns: Namespace) -> None:
    old = api.create(ns("deployments"), deployment("stale", replicas=0))
    api.patch(ns("deployments", "stale"), {"metadata": {"labels": {"a": "b"}}})
    answer = api.put(ns("deployments", "stale"), old)
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert answer.message == (
        'Operation cannot be fulfilled on deployments.apps "stale": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert answer.body["details"] == {"name": "stale", "group": "apps", "kind": "deployments"}


def test_an_invalid_object_names_kind_field_and_cause(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("services"), service("portless", {}, ports=[{"port": 0}]))
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.body["details"]["kind"] == "Service"
    assert answer.body["details"]["name"] == "portless"
    assert "spec.ports[0].port" in answer.fields
    assert answer.message.startswith('Service "portless" is invalid: ')


def test_an_invalid_name_is_refused_with_the_rule(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), configmap("Not_Valid"))
    assert (answer.status, answer.reason) == (422, "Invalid")
    [cause] = answer.causes
    assert (cause["field"], cause["reason"]) == ("metadata.name", "FieldValueInvalid")
    assert "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters" in answer.message


def test_a_service_name_must_be_a_dns_label_that_starts_with_a_letter(api: Wire, ns: Namespace) -> None:
    # 1.34 and later accept a leading digit only behind a feature gate; a dot and 64 characters never.
    for name in ("a.b", "a" * 64):
        answer = api.post(ns("services"), service(name, {}))
        assert answer.status == 422, name
        assert answer.fields == {"metadata.name"}


def test_an_invalid_name_of_a_custom_resource_is_refused(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("gadgets"), gadget("Upper", code="ab"))
    assert answer.status == 422
    assert "metadata.name" in answer.fields


def test_a_missing_name_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = configmap()
    del wanted["metadata"]["name"]
    answer = api.post(ns("configmaps"), wanted)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.message.endswith("name or generateName is required")


def test_an_invalid_label_value_is_refused(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), configmap("labelled", labels={"good": "not good"}))
    assert answer.status == 422
    assert answer.fields == {"metadata.labels"}


def test_labels_must_be_texts(api: Wire, ns: Namespace) -> None:
    wanted = configmap("numbered")
    wanted["metadata"]["labels"] = {"count": 3}
    answer = api.post(ns("configmaps"), wanted)
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_a_body_that_is_not_json_is_a_bad_request(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), b"{")
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_a_body_of_another_kind_is_a_bad_request(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), lease("odd"))
    assert (answer.status, answer.reason) == (400, "BadRequest")


def test_a_custom_resource_of_another_kind_is_invalid(api: Wire, ns: Namespace) -> None:
    # Surprising: 422 where a built-in resource answers 400.
    answer = api.post(ns("gadgets"), {**gadget("odd", code="ab"), "kind": "Widget"})
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields == {"kind"}


def test_an_unsupported_content_type_is_415(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps"), b"hello", content_type="text/plain")
    assert (answer.status, answer.reason) == (415, "UnsupportedMediaType")


def test_an_unacceptable_answer_type_is_406(api: Wire, ns: Namespace) -> None:
    answer = api.get(ns("configmaps"), accept="image/png")
    assert answer.status == 406
    assert answer.reason == "NotAcceptable"


def test_a_method_that_a_resource_does_not_have_is_405(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("configmaps", "some"), configmap("some"))
    assert (answer.status, answer.reason) == (405, "MethodNotAllowed")


def test_the_selector_of_a_deployment_is_immutable(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("deployments"), deployment("pinned", replicas=0))
    # A controller writes the status meanwhile, and a conflict would be told first.
    del made["metadata"]["resourceVersion"]
    made["spec"]["selector"] = {"matchLabels": {"app": "other"}}
    made["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    answer = api.put(ns("deployments", "pinned"), made)
    assert (answer.status, answer.reason) == (422, "Invalid")
    assert answer.fields == {"spec.selector"}
    assert answer.message.endswith("field is immutable")


def test_a_deployment_whose_template_its_selector_misses_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = deployment("askew", replicas=0)
    wanted["spec"]["template"]["metadata"]["labels"] = {"app": "other"}
    answer = api.post(ns("deployments"), wanted)
    assert answer.status == 422
    assert answer.fields == {"spec.template.metadata.labels"}
    assert "`selector` does not match template `labels`" in answer.message


def test_a_deployment_without_containers_is_refused(api: Wire, ns: Namespace) -> None:
    wanted = deployment("hollow", replicas=0)
    wanted["spec"]["template"]["spec"] = {}
    answer = api.post(ns("deployments"), wanted)
    assert answer.status == 422
    assert answer.fields == {"spec.template.spec.containers"}
    assert answer.causes[0]["reason"] == "FieldValueRequired"


def test_negative_replicas_are_refused(api: Wire, ns: Namespace) -> None:
    answer = api.post(ns("deployments"), deployment("negative", replicas=-1))
    assert answer.status == 422
    assert answer.fields == {"spec.replicas"}


def test_the_uid_of_an_object_cannot_be_replaced(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("owned"))
    made["metadata"]["uid"] = "00000000-0000-0000-0000-000000000000"
    answer = api.put(ns("configmaps", "owned"), made)
    assert (answer.status, answer.reason) == (409, "Conflict")
    assert "Precondition failed: UID in precondition" in answer.message
