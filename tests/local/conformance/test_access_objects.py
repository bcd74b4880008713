"""The objects that say who may do what, as manifests bring them; that they count is in `test_rights.py`."""

from __future__ import annotations

from kube_manifests import RUN, Namespace
from kube_wire import Obj, Wire

RBAC = "/apis/rbac.authorization.k8s.io/v1"
GROUP = "rbac.authorization.k8s.io"
RULES = [{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]}]


def made(kind: str, name: str, **more: object) -> Obj:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, **more}


def test_a_role_and_its_binding_are_applied_and_read(api: Wire, ns: Namespace) -> None:
    roles, bindings = (f"{RBAC}/namespaces/{ns.name}/{plural}" for plural in ("roles", "rolebindings"))
    assert api.apply(f"{roles}/reader", made("Role", "reader", rules=RULES)).status == 201
    subject = {"kind": "ServiceAccount", "name": "someone", "namespace": ns.name}
    reference = {"apiGroup": GROUP, "kind": "Role", "name": "reader"}
    binding = made("RoleBinding", "reader", subjects=[subject], roleRef=reference)
    assert api.apply(f"{bindings}/reader", binding).status == 201
    assert api.read(f"{roles}/reader")["rules"] == RULES
    assert api.read(f"{bindings}/reader")["roleRef"] == reference


def test_a_cluster_role_and_its_binding_are_created_and_deleted(api: Wire) -> None:
    name = f"conformance-{RUN}"
    reference = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": "someone", "namespace": "default"}
    roles, bindings = f"{RBAC}/clusterroles", f"{RBAC}/clusterrolebindings"
    api.create(roles, made("ClusterRole", name, rules=RULES))
    api.create(bindings, made("ClusterRoleBinding", name, subjects=[subject], roleRef=reference))
    assert api.delete(f"{bindings}/{name}").status == 200
    assert api.delete(f"{roles}/{name}").status == 200


def test_the_role_of_a_binding_cannot_be_changed(api: Wire, ns: Namespace) -> None:
    path = f"{RBAC}/namespaces/{ns.name}/rolebindings"
    reference = {"apiGroup": GROUP, "kind": "Role", "name": "one"}
    api.create(path, made("RoleBinding", "fixed", subjects=[], roleRef=reference))
    answer = api.patch(f"{path}/fixed", {"roleRef": {"name": "two"}})
    assert (answer.status, answer.fields) == (422, {"roleRef"})
