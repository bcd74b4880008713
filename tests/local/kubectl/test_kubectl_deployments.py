"""Deployments under kubectl: plain apply and edit with their three-way merges, set, patch and rollouts.

The pods have nowhere to go and most Deployments have none, so that a rollout is over as soon as it is seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from kube_manifests import Namespace, Obj, deployment, fresh, service
from kube_wire import STRATEGIC, Wire, eventually

Kubectl = Callable[..., CompletedProcess[str]]


def manifest(name: str, *more: Obj, volumes: list[Obj] | None = None, **container: Any) -> Obj:
    """A Deployment without pods whose first container is `main`."""
    made = deployment(name, replicas=0)
    spec = made["spec"]["template"]["spec"]
    spec["containers"][0] |= container
    spec["containers"] += more
    if volumes is not None:
        spec["volumes"] = volumes
    return made


def env(**values: str) -> list[Obj]:
    return [{"name": name, "value": value} for name, value in values.items()]


@pytest.fixture
def apply(kubectl: Kubectl) -> Callable[[Obj], str]:
    return lambda obj: kubectl("apply", "-f", "-", given=obj).stdout


@pytest.fixture
def pod_of(api: Wire, ns: Namespace) -> Callable[[str], Obj]:
    return lambda name: dict(api.read(ns("deployments", name))["spec"]["template"]["spec"])


Apply = Callable[[Obj], str]
PodOf = Callable[[str], Obj]


# --- plain apply ----------------------------------------------------------------------------------------------------


def test_apply_changes_one_variable_and_keeps_what_others_added(
    api: Wire, ns: Namespace, apply: Apply, pod_of: PodOf
) -> None:
    name = fresh("web")
    apply(manifest(name, env=env(A="1", B="2")))
    injected = [{"name": "proxy", "image": "conformance.invalid/proxy:1"}, {"name": "main", "env": env(Z="26")}]
    patch = {"spec": {"template": {"spec": {"containers": injected}}}}
    assert api.patch(ns("deployments", name), patch, STRATEGIC).status == 200
    assert apply(manifest(name, env=env(B="3", C="4"))) == f"deployment.apps/{name} configured\n"
    proxy, main = pod_of(name)["containers"]
    assert proxy["name"] == "proxy"
    # A was dropped by the manifest; Z was never in it.
    assert main["env"] == env(Z="26", B="3", C="4")


def test_apply_takes_a_container_away_that_the_manifest_drops(apply: Apply, pod_of: PodOf) -> None:
    name = fresh("web")
    apply(manifest(name, {"name": "side", "image": "conformance.invalid/side:1"}))
    assert [one["name"] for one in pod_of(name)["containers"]] == ["main", "side"]
    apply(manifest(name))
    assert [one["name"] for one in pod_of(name)["containers"]] == ["main"]


def test_apply_puts_containers_into_the_order_of_the_manifest(apply: Apply, pod_of: PodOf) -> None:
    name, side = fresh("web"), {"name": "side", "image": "conformance.invalid/side:1"}
    apply(manifest(name, side))
    turned = manifest(name)
    turned["spec"]["template"]["spec"]["containers"].insert(0, side)
    apply(turned)
    assert [one["name"] for one in pod_of(name)["containers"]] == ["side", "main"]


def test_apply_exchanges_the_type_of_a_volume_and_of_the_strategy(
    api: Wire, ns: Namespace, apply: Apply, pod_of: PodOf
) -> None:
    name = fresh("web")
    apply(manifest(name, volumes=[{"name": "v", "emptyDir": {}}]))
    changed = manifest(name, volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    changed["spec"]["strategy"] = {"type": "Recreate"}
    apply(changed)
    assert pod_of(name)["volumes"] == [{"name": "v", "secret": {"secretName": "s", "defaultMode": 420}}]
    assert api.read(ns("deployments", name))["spec"]["strategy"] == {"type": "Recreate"}


def test_apply_leaves_replicas_alone_that_the_manifest_does_not_name(
    kubectl: Kubectl, api: Wire, ns: Namespace, apply: Apply
) -> None:
    name = fresh("web")
    unsized = manifest(name)
    del unsized["spec"]["replicas"]
    apply(unsized)
    kubectl("scale", f"deployment/{name}", "--replicas=0")
    assert apply(unsized) == f"deployment.apps/{name} unchanged\n"
    assert api.read(ns("deployments", name))["spec"]["replicas"] == 0


def test_apply_of_a_service_merges_its_ports_and_keeps_its_address(api: Wire, ns: Namespace, apply: Apply) -> None:
    name = fresh("front")
    two = [{"name": "http", "port": 9080}, {"name": "admin", "port": 9090}]
    apply(service(name, {"app": name, "tier": "x"}, ports=two))
    address = api.read(ns("services", name))["spec"]["clusterIP"]
    three = [{"name": "http", "port": 9080, "targetPort": 8081}, {"name": "metrics", "port": 9100}]
    assert apply(service(name, {"app": name}, ports=three)) == f"service/{name} configured\n"
    seen = api.read(ns("services", name))["spec"]
    assert [(one["port"], one["targetPort"]) for one in seen["ports"]] == [(9080, 8081), (9100, 9100)]
    assert (seen["selector"], seen["clusterIP"]) == ({"app": name}, address)
    assert apply(service(name, {"app": name}, ports=three)) == f"service/{name} unchanged\n"


def test_the_last_applied_manifest_can_be_seen(kubectl: Kubectl, apply: Apply) -> None:
    name = fresh("web")
    apply(manifest(name))
    seen = json.loads(kubectl("apply", "view-last-applied", f"deployment/{name}", "-o=json").stdout)
    assert seen["spec"] == manifest(name)["spec"]


# --- edit -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def edit(kubectl: Kubectl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., CompletedProcess[str]]:
    """`kubectl edit` with an editor that runs one sed command over the file."""

    def run(resource: str, command: str, *options: str, code: int = 0) -> CompletedProcess[str]:
        script = tmp_path / "edit.sed"
        script.write_text(command, encoding="utf-8")
        monkeypatch.setenv("KUBE_EDITOR", f"sed -i -f {script}")
        # What could not be stored is kept in a file there.
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        return kubectl("edit", resource, *options, code=code)

    return run


Edit = Callable[..., CompletedProcess[str]]


def test_edit_writes_what_the_editor_changed(edit: Edit, apply: Apply, pod_of: PodOf) -> None:
    name = fresh("web")
    apply(manifest(name, env=env(A="1", B="2")))
    done = edit(f"deployment/{name}", 's/value: "2"/value: "two"/')
    assert done.stdout == f"deployment.apps/{name} edited\n"
    assert pod_of(name)["containers"][0]["env"] == env(A="1", B="two")


def test_edit_of_nothing_is_cancelled(edit: Edit, apply: Apply) -> None:
    name = fresh("web")
    apply(manifest(name))
    assert edit(f"deployment/{name}", "s/spoon/fork/").stderr == "Edit cancelled, no changes made.\n"


def test_edit_of_something_invalid_is_refused_and_kept_in_a_file(edit: Edit, apply: Apply) -> None:
    name = fresh("web")
    apply(manifest(name))
    done = edit(f"deployment/{name}", "s/replicas: 0/replicas: -1/", code=1)
    assert f'deployments.apps "{name}" is invalid' in done.stderr
    assert "A copy of your changes has been stored to" in done.stderr


# --- set and patch --------------------------------------------------------------------------------------------------


def test_set_image_changes_one_container_or_all(kubectl: Kubectl, apply: Apply, pod_of: PodOf) -> None:
    name = fresh("web")
    apply(manifest(name, {"name": "side", "image": "conformance.invalid/side:1"}))
    done = kubectl("set", "image", f"deployment/{name}", "main=conformance.invalid/next:2")
    assert done.stdout == f"deployment.apps/{name} image updated\n"
    images = [one["image"] for one in pod_of(name)["containers"]]
    assert images == ["conformance.invalid/next:2", "conformance.invalid/side:1"]
    kubectl("set", "image", f"deployment/{name}", "*=conformance.invalid/all:3")
    assert {one["image"] for one in pod_of(name)["containers"]} == {"conformance.invalid/all:3"}
    done = kubectl("set", "image", f"deployment/{name}", "spoon=conformance.invalid/next:2", code=1)
    assert done.stderr == 'error: unable to find container named "spoon"\n'


def test_set_env_and_resources_change_the_template(kubectl: Kubectl, apply: Apply, pod_of: PodOf) -> None:
    name = fresh("web")
    apply(manifest(name, env=env(A="1")))
    kubectl("set", "env", f"deployment/{name}", "B=2", "A-")
    kubectl("set", "resources", f"deployment/{name}", "-c=main", "--limits=cpu=200m,memory=64Mi", "--requests=cpu=100m")
    [main] = pod_of(name)["containers"]
    assert main["env"] == env(B="2")
    assert main["resources"] == {"limits": {"cpu": "200m", "memory": "64Mi"}, "requests": {"cpu": "100m"}}


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "patched:1"}]}}}}),
        ("merge", {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "patched:1"}]}}}}),
        ("json", [{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "patched:1"}]),
    ],
)
def test_patch_in_every_form_changes_the_image(
    kubectl: Kubectl, apply: Apply, pod_of: PodOf, kind: str, patch: Any
) -> None:
    name = fresh("web")
    apply(manifest(name, env=env(A="1")))
    for outcome in ("patched", "patched (no change)"):
        done = kubectl("patch", "deployment", name, f"--type={kind}", f"--patch={json.dumps(patch)}")
        assert done.stdout == f"deployment.apps/{name} {outcome}\n"
    [main] = pod_of(name)["containers"]
    assert main["image"] == "patched:1"
    # Only a merge patch puts the list in the place of the other.
    assert main.get("env") == (None if kind == "merge" else env(A="1"))


def test_patch_of_the_scale_changes_the_replicas(kubectl: Kubectl, api: Wire, ns: Namespace, apply: Apply) -> None:
    name = fresh("web")
    apply(manifest(name))
    patch = '{"spec":{"replicas":1}}'
    done = kubectl("patch", "deployment", name, "--subresource=scale", "--type=merge", f"--patch={patch}")
    assert done.stdout == f"scale.autoscaling/{name} patched\n"
    assert api.read(ns("deployments", name))["spec"]["replicas"] == 1
    kubectl("scale", f"deployment/{name}", "--replicas=0")


def test_a_json_patch_whose_test_fails_changes_nothing(kubectl: Kubectl, apply: Apply) -> None:
    name = fresh("web")
    apply(manifest(name))
    patch = json.dumps([{"op": "test", "path": "/spec/replicas", "value": 7}])
    done = kubectl("patch", "deployment", name, "--type=json", f"--patch={patch}", code=1)
    wanted = "The request is invalid: the server rejected our request due to an error in our request\n"
    assert done.stderr == wanted


def test_expose_makes_a_service_of_a_deployment(kubectl: Kubectl, api: Wire, ns: Namespace, apply: Apply) -> None:
    name = fresh("web")
    apply(manifest(name))
    assert kubectl("expose", "deployment", name, "--port=9080").stdout == f"service/{name} exposed\n"
    seen = api.read(ns("services", name))["spec"]
    assert seen["selector"] == {"app": name}
    assert seen["ports"] == [{"port": 9080, "protocol": "TCP", "targetPort": 9080}]


# --- rollouts -------------------------------------------------------------------------------------------------------


def revision(api: Wire, ns: Namespace, name: str, wanted: str) -> None:
    """Waits until the Deployment's controller has made a ReplicaSet of the template."""
    eventually(
        lambda: (seen := api.read(ns("deployments", name)))["metadata"].get("annotations", {}).get(
            "deployment.kubernetes.io/revision") == wanted
        and seen["status"].get("observedGeneration") == seen["metadata"]["generation"],
        f"{name} is at revision {wanted}",
    )  # fmt: skip


@pytest.fixture
def twice(kubectl: Kubectl, api: Wire, ns: Namespace) -> str:
    """A Deployment in its second revision; the first had another image."""
    name = fresh("web")
    kubectl("create", "-f", "-", given=manifest(name, image="conformance.invalid/one:1"))
    revision(api, ns, name, "1")
    kubectl("annotate", f"deployment/{name}", "kubernetes.io/change-cause=the second image")
    kubectl("set", "image", f"deployment/{name}", "main=conformance.invalid/two:2")
    revision(api, ns, name, "2")
    return name


def test_history_lists_the_revisions_with_their_cause(kubectl: Kubectl, twice: str) -> None:
    lines = kubectl("rollout", "history", f"deployment/{twice}").stdout.splitlines()
    assert lines[:2] == [f"deployment.apps/{twice} ", "REVISION  CHANGE-CAUSE"]
    assert [line.split(maxsplit=1) for line in lines[2:] if line][-1] == ["2", "the second image"]


def test_history_shows_the_template_of_a_revision(kubectl: Kubectl, twice: str) -> None:
    text = kubectl("rollout", "history", f"deployment/{twice}", "--revision=1").stdout
    assert text.startswith(f"deployment.apps/{twice} with revision #1\nPod Template:\n")
    assert "    Image:\tconformance.invalid/one:1\n" in text
    done = kubectl("rollout", "history", f"deployment/{twice}", "--revision=9", code=1)
    assert done.stderr == "error: unable to find the specified revision\n"


def test_undo_goes_back_one_revision_which_becomes_the_newest(
    kubectl: Kubectl, api: Wire, ns: Namespace, twice: str, pod_of: PodOf
) -> None:
    assert kubectl("rollout", "undo", f"deployment/{twice}").stdout == f"deployment.apps/{twice} rolled back\n"
    assert pod_of(twice)["containers"][0]["image"] == "conformance.invalid/one:1"
    revision(api, ns, twice, "3")
    lines = kubectl("rollout", "history", f"deployment/{twice}").stdout.splitlines()
    assert [line.split()[0] for line in lines[2:] if line] == ["2", "3"]


def test_undo_to_a_revision_that_is_not_there_fails(kubectl: Kubectl, twice: str) -> None:
    done = kubectl("rollout", "undo", f"deployment/{twice}", "--to-revision=9", code=1)
    assert done.stderr == "error: unable to find specified revision 9 in history\n"


def test_a_paused_deployment_is_neither_restarted_nor_rolled_back(kubectl: Kubectl, twice: str) -> None:
    name = f"deployment/{twice}"
    assert kubectl("rollout", "pause", name).stdout == f"deployment.apps/{twice} paused\n"
    assert "is already paused" in kubectl("rollout", "pause", name, code=1).stderr
    assert "can't restart paused deployment" in kubectl("rollout", "restart", name, code=1).stderr
    assert "cannot rollback a paused deployment" in kubectl("rollout", "undo", name, code=1).stderr
    assert kubectl("rollout", "resume", name).stdout == f"deployment.apps/{twice} resumed\n"
    assert "is not paused" in kubectl("rollout", "resume", name, code=1).stderr


def test_a_paused_deployment_rolls_nothing_out_until_it_is_resumed(
    kubectl: Kubectl, api: Wire, ns: Namespace, twice: str
) -> None:
    kubectl("rollout", "pause", f"deployment/{twice}")
    kubectl("set", "image", f"deployment/{twice}", "main=conformance.invalid/three:3")
    eventually(
        lambda: (
            (seen := api.read(ns("deployments", twice)))["status"]["observedGeneration"]
            == seen["metadata"]["generation"]
        ),
        "the controller has seen the new image",
    )
    assert len(kubectl("get", "replicasets", f"-l=app={twice}", "-o=name").stdout.splitlines()) == 2
    kubectl("rollout", "resume", f"deployment/{twice}")
    revision(api, ns, twice, "3")
    assert len(kubectl("get", "replicasets", f"-l=app={twice}", "-o=name").stdout.splitlines()) == 3


def test_restart_makes_a_new_revision_of_the_same_image(
    kubectl: Kubectl, api: Wire, ns: Namespace, twice: str, pod_of: PodOf
) -> None:
    before = pod_of(twice)
    assert kubectl("rollout", "restart", f"deployment/{twice}").stdout == f"deployment.apps/{twice} restarted\n"
    revision(api, ns, twice, "3")
    assert pod_of(twice) == before
    done = kubectl("rollout", "status", f"deployment/{twice}", "--timeout=30s")
    assert done.stdout == f'deployment "{twice}" successfully rolled out\n'
