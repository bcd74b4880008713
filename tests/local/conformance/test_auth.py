"""Who is let in at all. What somebody may do then is in `test_rights.py`."""

from __future__ import annotations

from kube_manifests import Namespace
from kube_wire import Cluster, Wire


def test_a_wrong_token_is_unauthorized(cluster: Cluster, ns: Namespace) -> None:
    answer = Wire(cluster, token="not-the-token").get(ns("configmaps"))
    assert (answer.status, answer.reason) == (401, "Unauthorized")
    assert (answer.body["kind"], answer.body["status"], answer.body["code"]) == ("Status", "Failure", 401)
    assert answer.message == "Unauthorized"


def test_a_wrong_token_is_refused_even_where_no_token_is_needed(cluster: Cluster) -> None:
    assert Wire(cluster, token="not-the-token").get("/version").status == 401


def test_nobody_in_particular_reads_and_writes_nothing(cluster: Cluster, ns: Namespace) -> None:
    wire = Wire(cluster, anonymous=True)
    # 401 where anonymous requests are switched off, else 403.
    for answer in (wire.get(ns("configmaps")), wire.delete(ns("configmaps", "any"))):
        assert answer.status in {401, 403}
        assert answer.reason in {"Unauthorized", "Forbidden"}


def test_the_caller_is_told_who_it_is(api: Wire) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    answer = api.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
    assert answer.status == 201
    assert answer.body["status"]["userInfo"]["username"]


def test_an_administrator_may_do_what_it_asks_about(api: Wire, ns: Namespace) -> None:
    attributes = {"namespace": ns.name, "verb": "create", "group": "apps", "resource": "deployments"}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = api.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
    assert (answer.status, answer.body["status"]["allowed"]) == (201, True)
