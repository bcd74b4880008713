"""What kubectl asks about rights, and what it does as somebody else."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from kube_manifests import Namespace, fresh
from kube_wire import Cluster, Wire, eventually

Kubectl = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def reader(kubectl: Kubectl, ns: Namespace) -> str:
    """An account that may read config maps, made by kubectl alone; what is given is the name of the user."""
    kubectl("create", "serviceaccount", "reader")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=configmaps")
    kubectl("create", "rolebinding", "reader", "--role=reader", f"--serviceaccount={ns.name}:reader")
    user = f"system:serviceaccount:{ns.name}:reader"
    eventually(
        lambda: kubectl("auth", "can-i", "--list", f"--as={user}").stdout.count("configmaps"), "the binding is known"
    )
    return user


def test_can_i_answers_yes_and_no_also_by_its_exit_code(kubectl: Kubectl, reader: str) -> None:
    assert kubectl("auth", "can-i", "list", "configmaps", f"--as={reader}").stdout == "yes\n"
    assert kubectl("auth", "can-i", "delete", "configmaps", f"--as={reader}", code=1).stdout == "no\n"
    assert kubectl("auth", "can-i", "get", "/version", f"--as={reader}").stdout == "yes\n"
    assert kubectl("auth", "can-i", "get", "/spoon", f"--as={reader}", code=1).stdout == "no\n"


def test_can_i_lists_every_right(kubectl: Kubectl, reader: str) -> None:
    lines = kubectl("auth", "can-i", "--list", f"--as={reader}").stdout.splitlines()
    assert lines[0].split() == ["Resources", "Non-Resource", "URLs", "Resource", "Names", "Verbs"]
    assert any(line.split() == ["configmaps", "[]", "[]", "[get", "list]"] for line in lines)


def test_who_am_i_tells_user_and_groups(kubectl: Kubectl, ns: Namespace, reader: str) -> None:
    text = kubectl("auth", "whoami", f"--as={reader}").stdout
    seen = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert seen["Username"] == reader
    assert f"system:serviceaccounts:{ns.name}" in seen["Groups"]


def test_what_is_forbidden_fails_with_the_servers_words(kubectl: Kubectl, ns: Namespace, reader: str) -> None:
    kubectl("get", "configmaps", f"--as={reader}")
    done = kubectl("get", "secrets", f"--as={reader}", code=1)
    assert done.stderr == (
        f'Error from server (Forbidden): secrets is forbidden: User "{reader}" cannot list resource "secrets" in API'
        f' group "" in the namespace "{ns.name}"\n'
    )


def test_create_token_prints_one_that_works(kubectl: Kubectl, cluster: Cluster, ns: Namespace, reader: str) -> None:
    token = kubectl("create", "token", "reader", "--duration=10m").stdout.strip()
    wire = Wire(cluster, token=token)
    assert wire.get(ns("configmaps")).status == 200
    assert wire.get(ns("secrets")).status == 403
    wire.close()


def test_reconcile_makes_and_completes_roles(kubectl: Kubectl, ns: Namespace) -> None:
    name = fresh("reconciled")
    # It takes the namespace of the manifest alone.
    metadata = {"name": name, "namespace": ns.name}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": metadata}
    for verbs in (["get"], ["get", "list"]):
        rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": verbs}]
        kubectl("auth", "reconcile", "-f", "-", given={**role, "rules": rules})
    text = kubectl("describe", "role", name).stdout
    assert [line.split() for line in text.splitlines() if "secrets" in line] == [
        ["secrets", "[]", "[]", "[get", "list]"]
    ]
