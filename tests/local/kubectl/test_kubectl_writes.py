"""What kubectl changes: apply in both ways, patches, scale, rollouts, waits and deletes."""

from __future__ import annotations

import json
from collections.abc import Callable
from subprocess import CompletedProcess, Popen
from typing import Any

from kube_manifests import GROUP, Namespace, configmap, deployment, fresh, gadget, owner
from kube_wire import Wire, eventually

Kubectl = Callable[..., CompletedProcess[str]]


def applied(kubectl: Kubectl, obj: dict[str, Any], *options: str, code: int = 0) -> CompletedProcess[str]:
    return kubectl("apply", *options, "-f", "-", given=obj, code=code)


def created(kubectl: Kubectl, obj: dict[str, Any], *options: str, code: int = 0) -> CompletedProcess[str]:
    return kubectl("create", *options, "-f", "-", given=obj, code=code)


def test_create_makes_an_object(kubectl: Kubectl) -> None:
    assert created(kubectl, configmap("made", key="value")).stdout == "configmap/made created\n"
    assert kubectl("get", "configmap", "made", "-o=jsonpath={.data.key}").stdout == "value"


def test_create_of_a_namesake_fails(kubectl: Kubectl) -> None:
    created(kubectl, configmap("namesake"))
    done = created(kubectl, configmap("namesake"), code=1)
    assert done.stderr.startswith("Error from server (AlreadyExists): ")
    assert 'configmaps "namesake" already exists' in done.stderr


def test_create_as_a_server_dry_run_makes_nothing(kubectl: Kubectl) -> None:
    done = created(kubectl, configmap("rehearsed"), "--dry-run=server")
    assert done.stdout == "configmap/rehearsed created (server dry run)\n"
    kubectl("get", "configmap", "rehearsed", code=1)


def test_create_without_a_manifest_makes_secrets_and_config_maps(kubectl: Kubectl) -> None:
    # These commands send protocol buffers, not JSON.
    done = kubectl("create", "secret", "generic", "typed", "--from-literal=password=hunter2")
    assert done.stdout == "secret/typed created\n"
    assert kubectl("get", "secret", "typed", "-o=jsonpath={.data.password}").stdout == "aHVudGVyMg=="
    assert kubectl("create", "configmap", "typed", "--from-literal=a=1").stdout == "configmap/typed created\n"


def test_apply_creates_then_changes_then_leaves_alone(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    assert applied(kubectl, gadget(name, code="ab")).stdout == f"gadget.{GROUP}/{name} created\n"
    assert applied(kubectl, gadget(name, code="cd")).stdout == f"gadget.{GROUP}/{name} configured\n"
    assert applied(kubectl, gadget(name, code="cd")).stdout == f"gadget.{GROUP}/{name} unchanged\n"


def test_apply_removes_what_the_manifest_drops_and_keeps_what_others_added(
    kubectl: Kubectl, api: Wire, ns: Namespace
) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab", comment="mine"))
    api.patch(ns("gadgets", name), {"metadata": {"annotations": {"theirs": "yes"}}, "spec": {"replicas": 3}})
    applied(kubectl, gadget(name, code="ab"))
    after = api.read(ns("gadgets", name))
    assert after["spec"] == {"code": "ab", "size": "Small", "replicas": 3}
    assert after["metadata"]["annotations"]["theirs"] == "yes"


def test_apply_of_a_deployment_again_changes_nothing(kubectl: Kubectl) -> None:
    name = fresh("web")
    assert applied(kubectl, deployment(name, replicas=0)).stdout == f"deployment.apps/{name} created\n"
    assert applied(kubectl, deployment(name, replicas=0)).stdout == f"deployment.apps/{name} unchanged\n"
    changed = deployment(name, replicas=0, image="conformance.invalid/next:1")
    assert applied(kubectl, changed).stdout == f"deployment.apps/{name} configured\n"


def test_apply_of_an_unknown_field_is_refused_before_anything_is_stored(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    done = applied(kubectl, gadget(name, code="ab", spoon=1), code=1)
    assert 'strict decoding error: unknown field "spec.spoon"' in done.stderr
    kubectl("get", "gadget", name, code=1)


def test_apply_of_an_invalid_object_tells_every_fault(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    done = applied(kubectl, gadget(name, code="ab", size="Huge", limit=99), code=1)
    assert done.stderr.startswith(f'The Gadget "{name}" is invalid: ')
    assert 'spec.size: Unsupported value: "Huge": supported values: "Small", "Large"' in done.stderr
    assert "spec.limit" in done.stderr


def test_apply_says_the_message_of_a_rule(kubectl: Kubectl) -> None:
    done = applied(kubectl, gadget(fresh("gadget"), code="ab", source={}), code=1)
    assert "give exactly one of version and alias" in done.stderr


def test_server_side_apply_says_so(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    done = applied(kubectl, gadget(name, code="ab"), "--server-side")
    assert done.stdout == f"gadget.{GROUP}/{name} serverside-applied\n"
    assert applied(kubectl, gadget(name, code="ab"), "--server-side").stdout == done.stdout


def test_server_side_apply_stops_at_a_conflict_and_can_be_forced(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"), "--server-side", "--field-manager=first")
    wanted = gadget(name, code="cd")
    done = applied(kubectl, wanted, "--server-side", "--field-manager=second", code=1)
    assert 'Apply failed with 1 conflict: conflict with "first": .spec.code' in done.stderr
    applied(kubectl, wanted, "--server-side", "--field-manager=second", "--force-conflicts")
    assert kubectl("get", "gadget", name, "-o=jsonpath={.spec.code}").stdout == "cd"


def test_an_object_of_plain_apply_can_be_taken_over_by_server_side_apply(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab", comment="x"))
    applied(kubectl, gadget(name, code="cd"), "--server-side")
    assert kubectl("get", "gadget", name, "-o=jsonpath={.spec}").stdout.count("comment") == 0


def test_diff_tells_what_an_apply_would_change(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    kubectl("diff", "-f", "-", given=gadget(name, code="ab"))
    done = kubectl("diff", "-f", "-", given=gadget(name, code="cd"), code=1)
    assert "-  code: ab" in done.stdout
    assert "+  code: cd" in done.stdout


def test_replace_puts_a_whole_object(kubectl: Kubectl) -> None:
    created(kubectl, configmap("replaced", a="1", b="2"))
    assert kubectl("replace", "-f", "-", given=configmap("replaced", c="3")).stdout == "configmap/replaced replaced\n"
    assert json.loads(kubectl("get", "configmap", "replaced", "-o=jsonpath={.data}").stdout) == {"c": "3"}


def test_patch_writes_the_object_in_three_ways(kubectl: Kubectl) -> None:
    name = fresh("web")
    applied(kubectl, deployment(name, replicas=0))
    container = {"name": "main", "image": "conformance.invalid/strategic:1"}
    strategic = {"spec": {"template": {"spec": {"containers": [container]}}}}
    assert (
        kubectl("patch", "deployment", name, "-p", json.dumps(strategic)).stdout == f"deployment.apps/{name} patched\n"
    )
    merge = {"spec": {"minReadySeconds": 3}}
    kubectl("patch", "deployment", name, "--type=merge", "-p", json.dumps(merge))
    operations = [{"op": "replace", "path": "/spec/minReadySeconds", "value": 4}]
    kubectl("patch", "deployment", name, "--type=json", "-p", json.dumps(operations))
    paths = "{.spec.minReadySeconds} {.spec.template.spec.containers[*].image}"
    assert kubectl("get", "deployment", name, f"-o=jsonpath={paths}").stdout == "4 conformance.invalid/strategic:1"


def test_patch_writes_the_status_when_asked_to(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    kubectl("patch", "gadget", name, "--subresource=status", "--type=merge", "-p", '{"status":{"note":"x"}}')
    assert kubectl("get", "gadget", name, "-o=jsonpath={.status.note}").stdout == "x"


def test_annotate_and_label_add_and_remove(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    assert kubectl("annotate", "gadget", name, "a=1").stdout == f"gadget.{GROUP}/{name} annotated\n"
    assert kubectl("label", "gadget", name, "b=2").stdout == f"gadget.{GROUP}/{name} labeled\n"
    assert kubectl("label", "gadget", name, "b=3", code=1).stderr.startswith("error: 'b' already has a value (2)")
    kubectl("label", "gadget", name, "b-")
    assert "b" not in json.loads(kubectl("get", "gadget", name, "-o", "json").stdout)["metadata"].get("labels", {})


def test_scale_writes_the_replicas_of_a_custom_resource(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    assert kubectl("scale", f"gadget/{name}", "--replicas=4").stdout == f"gadget.{GROUP}/{name} scaled\n"
    assert kubectl("get", "gadget", name, "-o=jsonpath={.spec.replicas}").stdout == "4"


def test_scale_stops_when_the_present_number_is_another(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab", replicas=2))
    done = kubectl("scale", f"gadget/{name}", "--current-replicas=3", "--replicas=4", code=1)
    assert "Expected replicas to be 3, was 2" in done.stderr


def test_scale_of_a_deployment_down_takes_its_pods_away(kubectl: Kubectl, api: Wire, ns: Namespace) -> None:
    name = fresh("web")
    applied(kubectl, deployment(name, replicas=2))
    eventually(lambda: len(api.get(ns("pods"), labelSelector=f"app={name}").body["items"]) == 2, "two pods")
    assert kubectl("scale", f"deployment/{name}", "--replicas=0").stdout == f"deployment.apps/{name} scaled\n"
    kubectl("wait", "--for=delete", "pod", "-l", f"app={name}", "--timeout=30s")


def test_rollout_status_waits_for_the_end(kubectl: Kubectl) -> None:
    name = fresh("web")
    applied(kubectl, deployment(name, replicas=0))
    done = kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    assert done.stdout.endswith(f'deployment "{name}" successfully rolled out\n')


def test_rollout_status_gives_up_at_its_timeout(kubectl: Kubectl) -> None:
    name = fresh("web")
    applied(kubectl, deployment(name, replicas=1))
    done = kubectl("rollout", "status", f"deployment/{name}", "--timeout=1s", code=1)
    assert f'Waiting for deployment "{name}"' in done.stdout
    kubectl("delete", "deployment", name)


def test_rollout_history_and_undo_go_back_to_the_template_before(kubectl: Kubectl) -> None:
    name = fresh("web")
    applied(kubectl, deployment(name, replicas=0))
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    kubectl("set", "image", f"deployment/{name}", "main=conformance.invalid/next:1")
    kubectl("rollout", "status", f"deployment/{name}", "--timeout=30s")
    history = kubectl("rollout", "history", f"deployment/{name}").stdout.split()
    assert {"1", "2"} <= set(history)
    assert kubectl("rollout", "undo", f"deployment/{name}").stdout == f"deployment.apps/{name} rolled back\n"
    path = "-o=jsonpath={.spec.template.spec.containers[0].image}"
    assert kubectl("get", "deployment", name, path).stdout == "conformance.invalid/none:1"


def test_rollout_restart_marks_the_template(kubectl: Kubectl) -> None:
    name = fresh("web")
    applied(kubectl, deployment(name, replicas=0))
    assert kubectl("rollout", "restart", f"deployment/{name}").stdout == f"deployment.apps/{name} restarted\n"
    template = json.loads(kubectl("get", "deployment", name, "-o", "json").stdout)["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]


def test_wait_returns_when_the_condition_comes_true(
    kubectl: Kubectl, command: list[str], api: Wire, ns: Namespace
) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    arguments = ["wait", f"gadget/{name}", "--for=condition=Ready", "--timeout=30s"]
    with Popen([*command, *arguments], stdout=-1, text=True) as waiting:
        conditions = [{"type": "Ready", "status": "True"}]
        api.patch(ns("gadgets", name, "status"), {"status": {"conditions": conditions}})
        text, _ = waiting.communicate(timeout=60)
    assert (waiting.returncode, text) == (0, f"gadget.{GROUP}/{name} condition met\n")


def test_wait_gives_up_at_its_timeout(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    done = kubectl("wait", f"gadget/{name}", "--for=condition=Ready", "--timeout=1s", code=1)
    assert "timed out waiting for the condition" in done.stderr


def test_wait_takes_a_path_and_a_value(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    done = kubectl("wait", f"gadget/{name}", "--for=jsonpath={.spec.code}=ab", "--timeout=10s")
    assert done.stdout == f"gadget.{GROUP}/{name} condition met\n"


def test_delete_says_what_is_gone(kubectl: Kubectl) -> None:
    name = fresh("gadget")
    applied(kubectl, gadget(name, code="ab"))
    done = kubectl("delete", "gadget", name)
    assert done.stdout.startswith(f'gadget.{GROUP} "{name}" deleted')
    done = kubectl("delete", "gadget", name, code=1)
    assert f'gadgets.{GROUP} "{name}" not found' in done.stderr
    assert kubectl("delete", "gadget", name, "--ignore-not-found").stdout == ""


def test_delete_by_label_takes_only_those(kubectl: Kubectl) -> None:
    for number in (1, 2, 3):
        applied(kubectl, configmap(f"swept-{number}", labels={"swept": "no" if number == 3 else "yes"}))
    kubectl("delete", "configmap", "-l", "swept=yes")
    assert kubectl("get", "configmap", "-l", "swept", "-o", "name").stdout == "configmap/swept-3\n"


def test_delete_of_an_owner_takes_its_children_unless_told_otherwise(
    kubectl: Kubectl, api: Wire, ns: Namespace
) -> None:
    for name, option, stays in (("taken", "--cascade=foreground", False), ("left", "--cascade=orphan", True)):
        parent = api.create(ns("configmaps"), configmap(f"parent-{name}"))
        child = configmap(f"child-{name}")
        child["metadata"]["ownerReferences"] = [owner(parent, blockOwnerDeletion=True)]
        api.create(ns("configmaps"), child)
        kubectl("delete", "configmap", f"parent-{name}", option)
        assert (api.get(ns("configmaps", f"child-{name}")).status == 200) is stays, name


def test_auth_can_i_answers_yes_to_an_administrator(kubectl: Kubectl) -> None:
    assert kubectl("auth", "can-i", "create", "deployments").stdout == "yes\n"
