"""The operator has the rights that it uses, and no others. Runs last: everything before it is the evidence.

What was used is what the API server wrote down of the operator's account since the session began; what was granted are
the rules of its ClusterRole and its Role.
"""

import json
from collections.abc import Iterator
from typing import Any

from cluster_lab import Lab
from cluster_operator import NAMESPACE, RELEASE
from cluster_subject import Subject
from cluster_trial import Trial

Obj = dict[str, Any]
Right = tuple[str, str, str]
"""Verb, API group, and resource with its subresource."""
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
ROLES = "/apis/rbac.authorization.k8s.io/v1"


def asked(lab: Lab) -> Iterator[Obj]:
    """Requests for objects by the operator's account since the session began."""
    for line in lab.platform.audit():
        event = json.loads(line)
        ours = event["user"]["username"] == ACCOUNT and event["requestReceivedTimestamp"] >= lab.began
        if ours and "objectRef" in event:
            yield event


def rights(event: Obj) -> set[Right]:
    """What the request took. A server-side apply that made an object is a patch which also asks for `create`."""
    ref = event["objectRef"]
    resource = "/".join(part for part in (ref["resource"], ref.get("subresource")) if part)
    made = event["verb"] == "patch" and event["responseStatus"]["code"] == 201
    return {(verb, ref.get("apiGroup", ""), resource) for verb in (event["verb"], *(["create"] if made else []))}


def granted(rules: list[Obj]) -> set[Right]:
    return {
        (verb, group, resource)
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_each_right_is_used_and_none_is_missing(lab: Lab, iris: Subject, trial: Trial) -> None:
    # What no other scenario needs: a registry's credentials, and more revisions than are kept.
    secret = {"metadata": {"name": "registry", "labels": {"headgate.dev/use": "registry"}}}
    lab.wire.create(iris.path("Secret"), secret | {"stringData": {"username": "reader", "password": "secret"}})
    registry = {"uri": lab.registry.url, "secretName": "registry"}
    reference = {"name": iris.model, "alias": "champion", "registry": registry}
    iris.goes_live("1", model=reference, replicas=1, rollout={"keepWarm": "0s", "historyLimit": 1})
    for mark in ("2", "3", "4"):
        iris.serves(iris.release(mark))
        iris.until(lambda: "previous" not in iris.status, "the old version is gone")
    iris.until(lambda: len(iris.children("ControllerRevision")) <= 2, "revisions beyond the limit are gone")

    used = {right for event in asked(lab) for right in rights(event)}
    refused = {right for event in asked(lab) if decision(event) == "forbid" for right in rights(event)}
    everywhere = lab.wire.read(f"{ROLES}/clusterroles/{RELEASE}")["rules"]
    at_home = lab.wire.read(f"{ROLES}/namespaces/{NAMESPACE}/roles/{RELEASE}-leader")["rules"]
    may = granted(everywhere) | granted(at_home)
    # An API server that has only just started refuses what it has not yet read the roles of.
    assert sorted(refused - may) == [], "asked for, and not granted"
    assert sorted(may - used) == [], "granted, and never used"
    assert sorted(used - may) == [], "used, and granted by something else"


def decision(event: Obj) -> str:
    return str(event.get("annotations", {}).get("authorization.k8s.io/decision", ""))
