"""Watches: which events come, in which order, and how a watch ends."""

from __future__ import annotations

import time

from kube_manifests import Namespace, configmap, fresh, gadget
from kube_wire import Obj, Wire


def told(event: Obj) -> tuple[str, str]:
    return event["type"], event["object"]["metadata"]["name"]


def here(api: Wire, ns: Namespace, resource: str = "configmaps") -> str:
    return str(api.read(ns(resource))["metadata"]["resourceVersion"])


def test_a_watch_from_a_list_tells_what_came_after_it(api: Wire, ns: Namespace) -> None:
    api.create(ns("configmaps"), configmap("before"))
    version = here(api, ns)
    with api.watch(ns("configmaps"), resourceVersion=version) as events:
        made = api.create(ns("configmaps"), configmap("after", a="1"))
        api.patch(ns("configmaps", "after"), {"data": {"a": "2"}})
        api.delete(ns("configmaps", "after"))
        added, modified, deleted = (next(events) for _ in range(3))
    assert [told(e) for e in (added, modified, deleted)] == [
        ("ADDED", "after"),
        ("MODIFIED", "after"),
        ("DELETED", "after"),
    ]
    assert added["object"] == made
    assert deleted["object"]["data"] == {"a": "2"}


def test_a_deletion_has_a_resource_version_of_its_own(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("last"))["metadata"]
    with api.watch(ns("configmaps"), resourceVersion=made["resourceVersion"]) as events:
        api.delete(ns("configmaps", "last"))
        event = next(events)
    assert told(event) == ("DELETED", "last")
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made["resourceVersion"])


def test_a_watch_catches_up_on_what_it_missed(api: Wire, ns: Namespace) -> None:
    version = here(api, ns)
    api.create(ns("configmaps"), configmap("missed", a="1"))
    api.patch(ns("configmaps", "missed"), {"data": {"a": "2"}})
    with api.watch(ns("configmaps"), resourceVersion=version) as events:
        seen = [next(events) for _ in range(2)]
    assert [told(e) for e in seen] == [("ADDED", "missed"), ("MODIFIED", "missed")]
    assert [e["object"]["data"]["a"] for e in seen] == ["1", "2"]


def test_a_watch_without_a_version_begins_with_what_is_there(api: Wire, ns: Namespace) -> None:
    label = fresh("start")
    api.create(ns("configmaps"), configmap("present", labels={"set": label}))
    for version in ({}, {"resourceVersion": "0"}):
        with api.watch(ns("configmaps"), labelSelector=f"set={label}", **version) as events:
            assert told(next(events)) == ("ADDED", "present")


def test_a_write_that_changes_nothing_makes_no_event(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("configmaps"), configmap("quiet", a="1"))
    with api.watch(ns("configmaps"), resourceVersion=made["metadata"]["resourceVersion"]) as events:
        api.put(ns("configmaps", "quiet"), made)
        api.patch(ns("configmaps", "quiet"), {"data": {"a": "1"}})
        api.create(ns("configmaps"), configmap("loud"))
        assert told(next(events)) == ("ADDED", "loud")


def test_an_object_that_begins_to_match_the_selector_is_added(api: Wire, ns: Namespace) -> None:
    label = fresh("joins")
    api.create(ns("configmaps"), configmap(label))
    with api.watch(ns("configmaps"), labelSelector=f"set={label}", resourceVersion=here(api, ns)) as events:
        api.patch(ns("configmaps", label), {"metadata": {"labels": {"set": label}}})
        assert told(next(events)) == ("ADDED", label)


def test_an_object_that_stops_matching_the_selector_is_deleted(api: Wire, ns: Namespace) -> None:
    label = fresh("leaves")
    made = api.create(ns("configmaps"), configmap(label, labels={"set": label}))["metadata"]
    with api.watch(ns("configmaps"), labelSelector=f"set={label}", resourceVersion=here(api, ns)) as events:
        api.patch(ns("configmaps", label), {"metadata": {"labels": {"set": None}}})
        event = next(events)
    assert told(event) == ("DELETED", label)
    # What is told is the object as it last matched, at the version of the change.
    assert event["object"]["metadata"]["labels"] == {"set": label}
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made["resourceVersion"])
    assert api.get(ns("configmaps", label)).status == 200


def test_an_object_that_never_matches_the_selector_is_silent(api: Wire, ns: Namespace) -> None:
    label = fresh("silent")
    with api.watch(ns("configmaps"), labelSelector=f"set={label}", resourceVersion=here(api, ns)) as events:
        api.create(ns("configmaps"), configmap())
        api.create(ns("configmaps"), configmap("wanted", labels={"set": label}))
        assert told(next(events)) == ("ADDED", "wanted")


def test_one_name_is_watched_by_field_selector(api: Wire, ns: Namespace) -> None:
    chosen = fresh("chosen")
    with api.watch(ns("gadgets"), fieldSelector=f"metadata.name={chosen}", resourceVersion=here(api, ns)) as events:
        api.create(ns("gadgets"), gadget(code="ab"))
        api.create(ns("gadgets"), gadget(chosen, code="ab"))
        assert told(next(events)) == ("ADDED", chosen)


def test_all_namespaces_are_watched_at_once(api: Wire, ns: Namespace) -> None:
    label = fresh("wide")
    version = api.read("/api/v1/configmaps")["metadata"]["resourceVersion"]
    with api.watch("/api/v1/configmaps", labelSelector=f"set={label}", resourceVersion=version) as events:
        api.create(ns("configmaps"), configmap(label, labels={"set": label}))
        assert next(events)["object"]["metadata"]["namespace"] == ns.name


def test_a_status_write_is_an_event_of_the_object(api: Wire, ns: Namespace) -> None:
    made = api.create(ns("gadgets"), gadget(code="ab"))
    name = made["metadata"]["name"]
    with api.watch(ns("gadgets"), resourceVersion=made["metadata"]["resourceVersion"]) as events:
        api.patch(ns("gadgets", name, "status"), {"status": {"note": "seen"}})
        event = next(events)
    assert told(event) == ("MODIFIED", name)
    assert event["object"]["status"] == {"note": "seen"}


def test_timeout_seconds_ends_a_watch_in_peace(api: Wire, ns: Namespace) -> None:
    began = time.monotonic()
    with api.watch(ns("configmaps"), resourceVersion=here(api, ns), timeoutSeconds=1) as events:
        assert list(events) == []
    assert time.monotonic() - began >= 1


def test_a_bookmark_carries_only_kind_and_version(api: Wire, ns: Namespace) -> None:
    # A real server sends one about 2 s before the timeout, but none when the whole watch is shorter than 5 s, and none
    # with a version below the one that the watch began with: so something of the kind has to happen first.
    query = {"resourceVersion": here(api, ns), "allowWatchBookmarks": True, "timeoutSeconds": 6}
    with api.watch(ns("configmaps"), **query) as events:
        made = api.create(ns("configmaps"), configmap())
        assert told(next(events)) == ("ADDED", made["metadata"]["name"])
        event = next(events)
    assert event["type"] == "BOOKMARK"
    body = event["object"]
    assert body["kind"] == "ConfigMap"
    assert int(body["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])
    assert "name" not in body["metadata"]


def test_an_initial_list_is_streamed_or_declined(api: Wire, ns: Namespace) -> None:
    label = fresh("streamed")
    api.create(ns("configmaps"), configmap(label, labels={"set": label}))
    query = {"sendInitialEvents": True, "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": True}
    declined = api.get(ns("configmaps"), watch=True, timeoutSeconds=1, labelSelector="set=none", **query)
    if declined.status != 200:
        # A server without the feature (it is young) says so, and clients go back to list and watch.
        assert (declined.status, declined.reason) == (422, "Invalid")
        assert "sendInitialEvents" in declined.message
        return
    with api.watch(ns("configmaps"), labelSelector=f"set={label}", **query) as events:
        assert told(next(events)) == ("ADDED", label)
        mark = next(events)
    assert mark["type"] == "BOOKMARK"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_a_watch_from_the_first_version_tells_all_or_that_it_expired(api: Wire, ns: Namespace) -> None:
    # A server that has kept everything since its beginning may tell it; any other has to say 410 and nothing else.
    api.create(ns("configmaps"), configmap(fresh("old")))
    with api.watch(ns("configmaps"), resourceVersion="1") as events:
        event = next(events)
    if event["type"] == "ERROR":
        assert event["object"]["kind"] == "Status"
        assert (event["object"]["code"], event["object"]["reason"]) == (410, "Expired")
        assert event["object"]["message"].startswith("too old resource version: 1 ")
    else:
        assert event["type"] == "ADDED"


def test_a_watch_with_a_version_that_is_no_number_is_refused(api: Wire, ns: Namespace) -> None:
    # Surprising: a real server calls it a server error, so only the refusal itself is asserted.
    answer = api.get(ns("configmaps"), watch=True, resourceVersion="spoon")
    assert answer.status >= 400
    assert "resourceVersion" in answer.message


def test_events_of_a_custom_resource_come_in_the_order_of_their_versions(api: Wire, ns: Namespace) -> None:
    name = fresh("steps")
    with api.watch(ns("gadgets"), resourceVersion=here(api, ns, "gadgets")) as events:
        api.create(ns("gadgets"), gadget(name, code="ab"))
        for number in range(2, 6):
            api.patch(ns("gadgets", name), {"spec": {"replicas": number}})
        seen = [next(events)["object"] for _ in range(5)]
    versions = [int(obj["metadata"]["resourceVersion"]) for obj in seen]
    assert versions == sorted(set(versions))
    assert [obj["metadata"]["generation"] for obj in seen] == [1, 2, 3, 4, 5]


def test_a_watch_from_before_the_definition_has_expired(api: Wire, ns: Namespace) -> None:
    # Of a custom resource a server knows nothing from before its definition, so this 410 needs no waiting.
    with api.watch(ns("gadgets"), resourceVersion=1) as events:
        told_to_go = list(events)
    assert [event["type"] for event in told_to_go] == ["ERROR"]
    status = told_to_go[0]["object"]
    assert (status["kind"], status["status"], status["reason"], status["code"]) == ("Status", "Failure", "Expired", 410)
    assert status["message"].startswith("too old resource version: 1 (")
