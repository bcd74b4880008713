"""The chart and the manifests on a real cluster: installed, upgraded, taken back, taken away and brought back.

Whatever becomes of the operator, what serves goes on serving: the same pods, no request lost.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_render import CHART, EVERY_VALUE, ROOT, objects
from cluster_lab import OPERATOR_IMAGE, OPERATOR_NAMESPACE, SERVER_IMAGE, Lab
from cluster_operator import RELEASE
from cluster_platform import run
from cluster_subject import Subject
from cluster_trial import Trial
from kube_wire import eventually

Obj = dict[str, Any]

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modeldeployments.headgate.dev"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{OPERATOR_NAMESPACE}/deployments/{RELEASE}"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/{RELEASE}"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@pytest.fixture
def another_operator(lab: Lab) -> Iterator[None]:
    """The usual operator is away for the test, and there again after it."""
    lab.operator.uninstall()
    try:
        yield
    finally:
        usual_again(lab)


@pytest.fixture
def changed_operator(lab: Lab) -> Iterator[None]:
    """The test changes the release; it is the usual one again after it."""
    try:
        yield
    finally:
        usual_again(lab)


def usual_again(lab: Lab) -> None:
    lab.operator.install()
    lab.operator.settled()


def helm(lab: Lab, *arguments: str, namespace: str = OPERATOR_NAMESPACE) -> str:
    return run(*lab.platform.helm(), *arguments, "--namespace", namespace, timeout=240)


def refused(command: Callable[[], object]) -> str:
    """What the command says that must not succeed."""
    with pytest.raises(AssertionError) as refusal:
        command()
    return str(refusal.value)


def lives(iris: Subject) -> dict[str, int]:
    """Each pod by its uid, and how often its container was started anew."""
    return {p["metadata"]["uid"]: sum(c["restartCount"] for c in p["status"]["containerStatuses"]) for p in iris.pods()}


def environment(deployment: Obj) -> dict[str, str]:
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def looked_at(iris: Subject) -> None:
    """An operator has seen the object as it is now: it has acted on a change that means nothing to what serves."""
    iris.patch(rollout={"historyLimit": iris.read()["spec"].get("rollout", {}).get("historyLimit", 10) + 1})
    iris.until(
        lambda: iris.status.get("observedGeneration") == iris.read()["metadata"]["generation"], "the change is seen"
    )


# --- the release ------------------------------------------------------------------------------------------------------


def test_a_release_is_two_ready_pods_of_which_one_leads(lab: Lab) -> None:
    lab.operator.settled()
    names = {pod["metadata"]["name"] for pod in lab.operator.pods()}

    (release,) = json.loads(helm(lab, "list", "--output", "json"))
    assert (release["name"], release["status"]) == (RELEASE, "deployed")
    assert lab.wire.read(DEPLOYMENT)["status"]["readyReplicas"] == 2
    leaders = {lab.wire.read(LEASE)["spec"]["holderIdentity"].rpartition("_")[0]}
    assert leaders <= names

    told = lab.wire.get(
        f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/services/{RELEASE}-metrics:metrics/proxy/metrics"
    ).body
    assert 'headgate_operator_info{version="' in told


def test_the_notes_tell_commands_that_work(lab: Lab) -> None:
    notes = helm(lab, "get", "notes", RELEASE)
    assert f"takes models of {lab.registry.url} to production in every namespace." in notes
    commands = [line.split() for line in notes.splitlines() if line.startswith("  kubectl ")]
    plain = [c[1:] for c in commands if "<<EOF" not in c and "--watch" not in c and "iris" not in c]
    assert len(plain) == 3

    with lab.namespace() as namespace:
        manifest = notes.partition("<<EOF\n")[2].partition("  EOF")[0]
        lab.kubectl("--namespace", namespace, "apply", "-f", "-", given=manifest)
        for command in plain:
            assert lab.kubectl(*command)
        assert "iris-classifier" in lab.kubectl("--namespace", namespace, "describe", "mdep", "iris")


def test_the_api_server_takes_every_object_that_the_chart_can_make(lab: Lab, tmp_path: Path) -> None:
    every = yaml.safe_load(EVERY_VALUE.read_text(encoding="utf-8"))
    for part in ("serviceAccount", "rbac"):
        every[part]["create"] = True
    for part in (every["podDisruptionBudget"], every["metrics"]["service"], every["networkPolicy"]):
        part["enabled"] = True
    every["crds"]["install"] = True

    with lab.namespace() as namespace:
        narrow = {"registry": {"uri": lab.registry.url}, "watchNamespaces": [namespace]}
        cases = [{"registry": {"uri": lab.registry.url}}, narrow, every | {"watchNamespaces": [namespace]}]
        for number, values in enumerate(cases):
            file = tmp_path / f"{number}.yaml"
            file.write_text(yaml.safe_dump(values), encoding="utf-8")
            text = helm(lab, "template", "trial", str(CHART), "--values", str(file), namespace=namespace)

            taken = lab.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", given=text)

            assert len(taken.splitlines()) == len(objects(text))


def test_an_upgrade_and_a_rollback_change_the_operator_and_no_model(
    lab: Lab, iris: Subject, trial: Trial, changed_operator: None
) -> None:
    lab.platform.build_image(f"{OPERATOR_IMAGE}:2", ROOT / "Dockerfile.operator", "--label", "second=true")
    iris.goes_live("1")
    before, usual = lives(iris), environment(lab.wire.read(DEPLOYMENT))
    revision = json.loads(helm(lab, "list", "--output", "json"))[0]["revision"]

    with trial.loaded():
        image = {"repository": OPERATOR_IMAGE, "tag": "2"}
        lab.operator.install(image=image, serverImage=f"{SERVER_IMAGE}:2", pollInterval="2s")
        lab.operator.settled()
        changed = lab.wire.read(DEPLOYMENT)
        assert changed["spec"]["template"]["spec"]["containers"][0]["image"] == f"{OPERATOR_IMAGE}:2"
        assert environment(changed).items() - usual.items() == {
            ("HEADGATE_OPERATOR_POLL_INTERVAL", "2s"),
            ("HEADGATE_OPERATOR_SERVER_IMAGE", f"{SERVER_IMAGE}:2"),
        }
        looked_at(iris)

        helm(lab, "rollback", RELEASE, revision, "--wait", "--timeout", "120s")
        lab.operator.settled()
        assert environment(lab.wire.read(DEPLOYMENT)) == usual
        looked_at(iris)

    assert lives(iris) == before


def test_models_serve_without_an_operator_and_a_new_one_adopts_them_as_they_are(
    lab: Lab, iris: Subject, trial: Trial, changed_operator: None
) -> None:
    iris.goes_live("1")
    iris.release("2", alias=False)
    before = lives(iris)

    with trial.loaded() as load:
        lab.operator.uninstall()
        assert lab.wire.get(DEPLOYMENT).status == 404
        assert lab.wire.get(DEFINITION).status == 200
        answered = len(load.answers)
        load.until(lambda: len(load.answers) >= answered + 500, "another 500 answers without an operator")
        assert iris.condition("Ready")[0] == "True"
        assert lives(iris) == before

        lab.operator.install()
        lab.operator.settled()
        looked_at(iris)
        assert iris.condition("Ready")[0] == "True"
        assert lives(iris) == before

        with trial.transition("1", "2"):
            iris.move_alias("2")
            iris.serves("2")


def test_an_operator_that_elects_nobody_is_one_pod_at_a_time(lab: Lab, iris: Subject, changed_operator: None) -> None:
    lab.operator.install(replicaCount=1, leaderElection={"enabled": False})

    # What rolled pod by pod before now replaces: two that elect nobody must never run at once.
    assert lab.wire.read(DEPLOYMENT)["spec"]["strategy"] == {"type": "Recreate"}
    left = lab.wire.read(LEASE)
    iris.goes_live("1")
    assert lab.wire.read(LEASE) == left


def test_credentials_of_the_registry_can_be_read_by_the_operator(
    lab: Lab, changed_operator: None, tmp_path: Path
) -> None:
    secrets = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets"
    lab.wire.delete(f"{secrets}/mlflow")
    lab.wire.create(secrets, {"metadata": {"name": "mlflow"}, "stringData": {"username": "ada", "password": "s3cret"}})
    lab.operator.install(registry={"uri": lab.registry.url, "credentialsSecret": "mlflow"})

    folder = environment(lab.wire.read(DEPLOYMENT))["HEADGATE_OPERATOR_REGISTRY_CREDENTIALS"]
    read = f"import pathlib; print([pathlib.Path('{folder}', n).read_text() for n in ('username', 'password')])"
    said = lab.kubectl("-n", OPERATOR_NAMESPACE, "exec", f"deployment/{RELEASE}", "--", "python", "-c", read)

    assert said.strip() == "['ada', 's3cret']"


# --- the definition ---------------------------------------------------------------------------------------------------


def test_an_upgrade_brings_the_definition_of_its_chart(lab: Lab, changed_operator: None, tmp_path: Path) -> None:
    for part in ("charts", "crds"):
        shutil.copytree(ROOT / part, tmp_path / part, symlinks=True)
    file = tmp_path / "crds" / "modeldeployments.headgate.dev.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("shortNames: [mdep]", "shortNames: [mdep, mdl]"), encoding="utf-8")

    def names() -> list[str]:
        return list(lab.wire.read(DEFINITION)["spec"]["names"]["shortNames"])

    assert names() == ["mdep"]
    values = ["--reuse-values", "--wait", "--timeout", "120s"]
    helm(lab, "upgrade", RELEASE, str(tmp_path / "charts" / "headgate"), *values)
    assert names() == ["mdep", "mdl"]
    helm(lab, "upgrade", RELEASE, str(CHART), *values)
    assert names() == ["mdep"]


def test_a_definition_that_was_applied_by_hand_is_taken_over_only_when_told(lab: Lab, another_operator: None) -> None:
    marks = ("meta.helm.sh/release-name", "meta.helm.sh/release-namespace")
    unmarked = {"labels": {"app.kubernetes.io/managed-by": None}, "annotations": dict.fromkeys(marks)}
    assert lab.wire.patch(DEFINITION, {"metadata": unmarked}).status == 200
    command = ["install", RELEASE, str(CHART), "--set", f"registry.uri={lab.registry.url}"]
    command += ["--set", f"image.repository={OPERATOR_IMAGE},image.tag=1"]

    assert "invalid ownership metadata" in refused(lambda: helm(lab, *command))

    helm(lab, *command, "--take-ownership", "--wait", "--timeout", "120s")
    lab.operator.settled()


# --- rights -----------------------------------------------------------------------------------------------------------


def may(lab: Lab, who: str, verb: str, what: str, namespace: str) -> bool:
    about = {"verb": verb, "namespace": namespace} | dict(zip(("resource", "group"), what.split(".", 1), strict=False))
    resource, _, sub = about["resource"].partition("/")
    about |= {"resource": resource, "subresource": sub}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview"}
    review |= {"spec": {"user": who, "resourceAttributes": about}}
    answer = lab.wire.create("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def test_whoever_may_view_or_edit_a_namespace_may_do_so_with_its_models(lab: Lab) -> None:
    models = "modeldeployments.headgate.dev"
    scale = "modeldeployments/scale.headgate.dev"
    with lab.namespace() as namespace:
        for role in ("view", "edit", "admin"):
            binding = {
                "metadata": {"name": role},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"a-{role}"}],
            }
            lab.wire.create(f"{RBAC}/namespaces/{namespace}/rolebindings", binding)

        def allowed(verb: str, what: str = models) -> set[str]:
            return {role for role in ("view", "edit", "admin") if may(lab, f"a-{role}", verb, what, namespace)}

        eventually(lambda: allowed("watch") == {"view", "edit", "admin"}, "all three may watch models")
        eventually(lambda: allowed("delete") == {"edit", "admin"}, "two may delete them")
        for verb in ("create", "update", "patch", "deletecollection"):
            assert allowed(verb) == {"edit", "admin"}
        assert allowed("patch", scale) == {"edit", "admin"}
        # Only the operator says how a model is.
        assert allowed("update", "modeldeployments/status.headgate.dev") == set()


def test_in_chosen_namespaces_an_operator_works_with_roles_of_theirs_alone(
    lab: Lab, another_operator: None, tmp_path: Path
) -> None:
    with lab.namespace() as own, lab.namespace() as watched, lab.namespace() as other:
        lab.wire.patch(f"/api/v1/namespaces/{own}", RESTRICTED)
        values = {
            "image": {"repository": OPERATOR_IMAGE, "tag": "1"},
            "serverImage": f"{SERVER_IMAGE}:1",
            "registry": {"uri": lab.registry.url},
            "pollInterval": "1s",
            "watchNamespaces": [watched],
            "crds": {"install": False},
        }
        file = tmp_path / "values.yaml"
        file.write_text(yaml.safe_dump(values), encoding="utf-8")
        helm(lab, "install", "narrow", str(CHART), "--values", str(file), "--wait", "--timeout", "120s", namespace=own)

        iris, stranger = Subject(lab, watched), Subject(lab, other)
        stranger.release("1")
        stranger.apply()
        iris.goes_live("1")
        iris.release("2")
        iris.serves("2")

        assert stranger.status == {}
        for kind in ("clusterroles", "clusterrolebindings"):
            assert [o["metadata"]["name"] for o in lab.wire.read(f"{RBAC}/{kind}")["items"] if "narrow" in str(o)] == []
        account = f"system:serviceaccount:{own}:narrow-headgate"
        assert may(lab, account, "list", "modeldeployments.headgate.dev", watched)
        assert not may(lab, account, "list", "modeldeployments.headgate.dev", other)
        assert not may(lab, account, "get", "secrets", own)
        helm(lab, "uninstall", "narrow", "--wait", namespace=own)


# --- without helm -----------------------------------------------------------------------------------------------------


@contextmanager
def kustomization(lab: Lab, folder: Path, base: str) -> Iterator[Path]:
    """A user's own kustomization over one of k8s/, as docs/install.md shows it."""
    for part in ("k8s", "crds"):
        shutil.copytree(ROOT / part, folder / part)
    mine = folder / "mine"
    mine.mkdir()
    told = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    found = re.search(r"```yaml\n# mine/kustomization.yaml\n(.*?)```", told, re.DOTALL)
    assert found, "docs/install.md shows a kustomization"
    shown = yaml.safe_load(found[1])
    assert shown["resources"] == ["../k8s"]
    shown["resources"] = [f"../{base}"]
    shown["images"] = [{"name": "ghcr.io/headgate/headgate-operator", "newName": OPERATOR_IMAGE, "newTag": "1"}]
    patch = yaml.safe_load(shown["patches"][0]["patch"])
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    container["env"] = [
        {"name": "HEADGATE_OPERATOR_REGISTRY_URI", "value": lab.registry.url},
        {"name": "HEADGATE_OPERATOR_SERVER_IMAGE", "value": f"{SERVER_IMAGE}:1"},
        {"name": "HEADGATE_OPERATOR_POLL_INTERVAL", "value": "1s"},
    ]
    shown["patches"][0]["patch"] = yaml.safe_dump(patch)
    (mine / "kustomization.yaml").write_text(yaml.safe_dump(shown), encoding="utf-8")
    try:
        yield mine
    finally:
        place = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}"
        lab.wire.delete(place)
        eventually(lambda: lab.wire.get(place).status == 404, "the namespace is gone", 60)


def test_the_plain_manifests_do_the_same_and_go_without_a_model(
    lab: Lab, iris: Subject, trial: Trial, another_operator: None, tmp_path: Path
) -> None:
    with kustomization(lab, tmp_path, "k8s") as mine:
        lab.kubectl("apply", "-k", str(mine))
        lab.kubectl("-n", OPERATOR_NAMESPACE, "rollout", "status", "deployment/headgate", "--timeout=120s")
        iris.goes_live("1")
        before = lives(iris)

        with trial.loaded() as load:
            lab.kubectl("delete", "-k", str(tmp_path / "k8s" / "cluster-wide"))
            lab.kubectl("delete", "-k", str(tmp_path / "k8s" / "base"))
            answered = len(load.answers)
            load.until(lambda: len(load.answers) >= answered + 200, "another 200 answers without an operator")

    assert lab.wire.get(DEFINITION).status == 200
    assert lives(iris) == before
