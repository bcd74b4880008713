"""What kubectl shows: lists, columns, descriptions, documents and what the server offers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from subprocess import CompletedProcess

import pytest
import yaml

from kube_manifests import GROUP, Namespace, configmap, deployment, fresh, gadget
from kube_wire import Wire

Kubectl = Callable[..., CompletedProcess[str]]


@pytest.fixture
def shown(api: Wire, ns: Namespace) -> str:
    """A gadget whose controller has written its status."""
    name = fresh("shown")
    api.create(ns("gadgets"), gadget(name, code="ab", replicas=4, metadata={"labels": {"app": name}}))
    status = {"conditions": [{"type": "Ready", "status": "True", "reason": "Serving"}], "note": "fine"}
    api.patch(ns("gadgets", name, "status"), {"status": status})
    return name


def table(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_version_tells_the_server(kubectl: Kubectl) -> None:
    assert json.loads(kubectl("version", "-o", "json").stdout)["serverVersion"]["major"] == "1"


def test_api_resources_lists_built_in_and_custom_kinds(kubectl: Kubectl) -> None:
    rows = {row[0]: row[1:] for row in table(kubectl("api-resources").stdout)}
    assert rows["deployments"] == ["deploy", "apps/v1", "true", "Deployment"]
    assert rows["gadgets"] == ["gd", f"{GROUP}/v1", "true", "Gadget"]
    assert rows["namespaces"] == ["ns", "v1", "false", "Namespace"]


def test_api_versions_lists_the_custom_group(kubectl: Kubectl) -> None:
    assert f"{GROUP}/v1" in kubectl("api-versions").stdout.split()


def test_get_prints_the_columns_of_the_definition(kubectl: Kubectl, shown: str) -> None:
    head, row = table(kubectl("get", "gadgets", shown).stdout)
    assert head == ["NAME", "CODE", "WANTED", "REASON", "AGE"]
    assert row[:4] == [shown, "ab", "4", "Serving"]
    assert row[4].endswith("s")


def test_get_wide_prints_the_columns_of_low_priority_too(kubectl: Kubectl, shown: str) -> None:
    head, row = table(kubectl("get", "gadgets", shown, "-o", "wide").stdout)
    assert head == ["NAME", "CODE", "WANTED", "REASON", "NOTE", "AGE"]
    assert row[4] == "fine"


def test_get_takes_short_and_singular_names(kubectl: Kubectl, shown: str) -> None:
    for resource in ("gd", "gadget", f"gadgets.{GROUP}", f"gadgets.v1.{GROUP}"):
        assert shown in kubectl("get", resource).stdout


def test_get_yaml_prints_the_whole_object(kubectl: Kubectl, shown: str) -> None:
    obj = yaml.safe_load(kubectl("get", "gadget", shown, "-o", "yaml").stdout)
    assert (obj["apiVersion"], obj["kind"]) == (f"{GROUP}/v1", "Gadget")
    assert obj["spec"] == {"code": "ab", "replicas": 4, "size": "Small"}
    assert obj["status"]["note"] == "fine"
    assert "managedFields" not in obj["metadata"]


def test_get_yaml_of_several_prints_a_list(kubectl: Kubectl, shown: str) -> None:
    obj = yaml.safe_load(kubectl("get", "gadgets", "-o", "yaml").stdout)
    assert obj["kind"] == "List"
    assert shown in [item["metadata"]["name"] for item in obj["items"]]


def test_get_takes_a_path_into_the_object(kubectl: Kubectl, shown: str) -> None:
    path = '-o=jsonpath={.status.conditions[?(@.type=="Ready")].reason}'
    assert kubectl("get", "gadget", shown, path).stdout == "Serving"


def test_get_by_label_and_by_field(kubectl: Kubectl, shown: str) -> None:
    assert kubectl("get", "gd", "-l", f"app={shown}", "-o", "name").stdout == f"gadget.{GROUP}/{shown}\n"
    found = kubectl("get", "gd", f"--field-selector=metadata.name={shown}", "-o", "name").stdout
    assert found == f"gadget.{GROUP}/{shown}\n"


def test_get_in_all_namespaces_tells_the_namespace(kubectl: Kubectl, ns: Namespace, shown: str) -> None:
    head, *rows = table(kubectl("get", "gadgets", "-A").stdout)
    assert head[:2] == ["NAMESPACE", "NAME"]
    assert [ns.name, shown] in [row[:2] for row in rows]


def test_get_of_nothing_says_so(kubectl: Kubectl) -> None:
    done = kubectl("get", "gadgets", "-l", "app=nobody")
    assert (done.stdout, done.stderr.split(" in ")[0]) == ("", "No resources found")


def test_get_of_a_missing_object_fails_with_the_servers_message(kubectl: Kubectl) -> None:
    done = kubectl("get", "gadget", "missing", code=1)
    assert done.stderr == f'Error from server (NotFound): gadgets.{GROUP} "missing" not found\n'


def test_get_of_an_unknown_resource_fails(kubectl: Kubectl) -> None:
    assert 'the server doesn\'t have a resource type "spoons"' in kubectl("get", "spoons", code=1).stderr


def test_get_watch_prints_a_line_for_each_change(
    api: Wire, ns: Namespace, following: Callable[..., Iterator[str]], shown: str
) -> None:
    # By label, because kubectl loses a change of one named object that comes between its reading and its watching.
    lines = following("get", "gadgets", "-l", f"app={shown}", "--watch")
    assert next(lines).split() == ["NAME", "CODE", "WANTED", "REASON", "AGE"]
    assert next(lines).split()[:4] == [shown, "ab", "4", "Serving"]
    api.patch(ns("gadgets", shown), {"spec": {"replicas": 5}})
    assert next(lines).split()[:4] == [shown, "ab", "5", "Serving"]


def test_get_watch_of_a_kind_prints_new_objects_and_event_types(
    api: Wire, ns: Namespace, following: Callable[..., Iterator[str]], shown: str
) -> None:
    name = fresh("later")
    lines = following("get", "gadgets", "-l", f"set={name}", "--watch", "--output-watch-events")
    api.create(ns("gadgets"), gadget(name, code="ab", metadata={"labels": {"set": name}}))
    assert next(lines).split()[0] == "EVENT"
    assert next(lines).split()[:2] == ["ADDED", name]
    api.delete(ns("gadgets", name))
    assert next(lines).split()[:2] == ["DELETED", name]


def test_describe_shows_spec_status_and_events(kubectl: Kubectl, ns: Namespace, shown: str) -> None:
    text = kubectl("describe", "gadget", shown).stdout
    lines = [line.split() for line in text.splitlines()]
    assert ["Name:", shown] in lines
    assert ["Namespace:", ns.name] in lines
    assert ["Code:", "ab"] in lines
    assert ["Reason:", "Serving"] in lines
    assert ["Events:", "<none>"] in lines


def test_describe_of_a_deployment_shows_replicas_conditions_and_its_set(kubectl: Kubectl, ns: Namespace) -> None:
    name = fresh("described")
    kubectl("apply", "-f", "-", given=deployment(name, replicas=0))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    text = kubectl("describe", "deployment", name).stdout
    assert "0 desired | 0 updated | 0 total | 0 available | 0 unavailable" in text
    assert f"NewReplicaSet:   {name}-" in text
    assert "Available      True    MinimumReplicasAvailable" in text


def test_explain_describes_a_field_of_the_definition(kubectl: Kubectl) -> None:
    text = kubectl("explain", "gadget.spec.replicas").stdout
    assert "FIELD: replicas <integer>" in text


def test_get_raw_prints_an_answer_as_it_is(kubectl: Kubectl) -> None:
    assert json.loads(kubectl("get", "--raw", "/version").stdout)["major"] == "1"


def test_get_events_prints_what_was_told(kubectl: Kubectl, api: Wire, ns: Namespace) -> None:
    told(kubectl, api, ns, "shown-event")
    head, *rows = table(kubectl("get", "events", "--field-selector=involvedObject.name=shown-event").stdout)
    assert head == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    [row] = rows
    assert row[1:] == ["Normal", "Promoted", "configmap/shown-event", "version", "2", "serves"]


def test_events_for_an_object_are_printed(kubectl: Kubectl, api: Wire, ns: Namespace) -> None:
    told(kubectl, api, ns, "events-for")
    text = kubectl("events", "--for=configmap/events-for").stdout
    assert "Promoted" in text
    assert "version 2 serves" in text


def test_describe_shows_the_events_of_an_object(kubectl: Kubectl, api: Wire, ns: Namespace) -> None:
    told(kubectl, api, ns, "described-event")
    assert "version 2 serves" in kubectl("describe", "configmap", "described-event").stdout


def told(kubectl: Kubectl, api: Wire, ns: Namespace, name: str) -> None:
    """A config map with an event about it, created as a manifest."""
    made = api.create(ns("configmaps"), configmap(name))
    about = {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "namespace": ns.name}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{name}.1"},
        "involvedObject": {**about, "uid": made["metadata"]["uid"]},
        "reason": "Promoted",
        "message": "version 2 serves",
        "type": "Normal",
        "count": 1,
        "firstTimestamp": made["metadata"]["creationTimestamp"],
        "lastTimestamp": made["metadata"]["creationTimestamp"],
        "source": {"component": "conformance"},
    }
    assert kubectl("create", "-f", "-", given=event).stdout == f"event/{name}.1 created\n"
