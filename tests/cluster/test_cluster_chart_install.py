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

from chart_render import CHART, EVERY_VALUE, ROOT, helm_program, kubectl_program, objects
from cluster_lab import OPERATOR_IMAGE, OPERATOR_NAMESPACE, SERVER_IMAGE, Lab
from cluster_operator import RELEASE
from cluster_platform import run
from cluster_subject import Subject
from cluster_trial import Trial
from headgate_operator import __version__
from kube_wire import eventually

Obj = dict[str, Any]

DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/modeldeployments.headgate.dev"
DEPLOYMENT = f"/apis/apps/v1/namespaces/{OPERATOR_NAMESPACE}/deployments/{RELEASE}"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/{RELEASE}"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
# A release is made anew several times, and others may be at work on the machine.
pytestmark = pytest.mark.timeout(600)
RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


@pytest.fixture
def another_operator(lab: Lab) -> Iterator[None]:
    """The usual operator is away for the test, and there again after it."""
    lab.operator.uninstall()
    lab.wire.delete(LEASE)  # else the next one waits for its end
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
    values = ["--reset-then-reuse-values", "--wait", "--timeout", "120s"]
    helm(lab, "upgrade", RELEASE, str(tmp_path / "charts" / "headgate"), *values)
    assert names() == ["mdep", "mdl"]
    helm(lab, "upgrade", RELEASE, str(CHART), *values)
    assert names() == ["mdep"]

    # The policy holds in an upgrade too: a chart without the definition does not take the models with it.
    helm(lab, "upgrade", RELEASE, str(CHART), *values, "--set", "crds.install=false")
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


# --- docs/install.md --------------------------------------------------------------------------------------------------


class Document:
    """docs/install.md as its reader has it: a checkout, helm and kubectl, and what it says to write and to run."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab, self._folder = lab, folder
        for part in ("charts", "k8s", "crds"):
            shutil.copytree(ROOT / part, folder / part, symlinks=True)
        (folder / "bin").mkdir()
        (folder / "bin" / "helm").symlink_to(helm_program())
        (folder / "bin" / "kubectl").symlink_to(kubectl_program())
        text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
        text = text.replace("http://mlflow.mlops:5000", lab.registry.url).replace("REGISTRY/", "testbed.local/")
        self._write_files(re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
        self._text = re.sub(r"^```yaml\n.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)

    def commands(self, heading: str) -> list[str]:
        """Those of one part, in their order."""
        (part,) = re.findall(rf"^#+ {heading}\n(.*?)(?=^#+ |\Z)", self._text, re.DOTALL | re.MULTILINE)
        blocks = re.findall(r"^```\n(.*?)^```$", part, re.DOTALL | re.MULTILINE)
        found = "".join(blocks).replace("\\\n", " ").splitlines()
        assert found, f"{heading} has commands"
        return found

    def run(self, commands: list[str]) -> None:
        path = f"{self._folder / 'bin'}:/usr/bin:/bin"
        variables = [f"PATH={path}", f"HOME={self._folder}", f"KUBECONFIG={self._lab.platform.kubeconfig}"]
        script = "\n".join(["set -euxo pipefail", f"cd {self._folder}", *commands])
        run("env", *variables, "bash", "-c", script, timeout=240)

    def _write_files(self, shown: list[tuple[str, str]]) -> None:
        assert [name for name, _ in shown] == ["mine/kustomization.yaml", "team-b/kustomization.yaml"]
        for name, text in shown:
            (self._folder / name).parent.mkdir()
            (self._folder / name).write_text(text, encoding="utf-8")
        # What the reader is told to set in a file that is there, and the names of the images.
        file = self._folder / "k8s" / "namespaced" / "kustomization.yaml"
        text = file.read_text(encoding="utf-8").replace('_URI, value: ""', f"_URI, value: {self._lab.registry.url}")
        text = text.replace("value: team-a}", 'value: "team-a,team-b"}')
        file.write_text(text + yaml.safe_dump({"images": yaml.safe_load(shown[0][1])["images"]}), encoding="utf-8")


@pytest.fixture
def document(lab: Lab, another_operator: None, tmp_path: Path) -> Document:
    for name, dockerfile in ((OPERATOR_IMAGE, "Dockerfile.operator"), (SERVER_IMAGE, "Dockerfile.server")):
        if f"{name}:{__version__}" not in lab.platform.images():
            lab.platform.build_image(f"{name}:{__version__}", ROOT / dockerfile)
    return Document(lab, tmp_path)


def test_the_commands_for_helm_work_as_they_are_written(lab: Lab, document: Document) -> None:
    lab.wire.delete(f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/secrets/mlflow")

    document.run(document.commands("Helm"))
    lab.kubectl("-n", OPERATOR_NAMESPACE, "rollout", "status", f"deployment/{RELEASE}", "--timeout=120s")
    folder = environment(lab.wire.read(DEPLOYMENT))["HEADGATE_OPERATOR_REGISTRY_CREDENTIALS"]
    read = f"import pathlib; print(*(pathlib.Path('{folder}', n).read_text() for n in ('username', 'password')))"
    said = lab.kubectl("-n", OPERATOR_NAMESPACE, "exec", f"deployment/{RELEASE}", "--", "python", "-c", read)
    assert said.strip() == "headgate ..."

    document.run(document.commands("Upgrade"))
    lab.operator.settled()

    document.run(document.commands("Uninstall"))
    assert lab.wire.get(DEPLOYMENT).status == 404
    eventually(lambda: lab.wire.get(DEFINITION).status == 404, "the definition is gone, on purpose")


def test_the_plain_manifests_work_as_they_are_told_and_go_without_a_model(
    lab: Lab, iris: Subject, trial: Trial, document: Document
) -> None:
    *there, one, other = document.commands("Kustomize")
    assert "delete" in one
    assert "delete" in other
    with namespace_gone_after(lab):
        document.run(there)
        iris.goes_live("1")
        before = lives(iris)

        with trial.loaded() as load:
            document.run([one, other])
            answered = len(load.answers)
            load.until(lambda: len(load.answers) >= answered + 200, "another 200 answers without an operator")

    assert lab.wire.get(DEFINITION).status == 200
    assert lives(iris) == before


def test_the_commands_for_chosen_namespaces_work_as_they_are_written(lab: Lab, document: Document) -> None:
    by_helm, *by_kustomize = document.commands("Chosen namespaces")
    account = f"system:serviceaccount:{OPERATOR_NAMESPACE}:{RELEASE}"
    teams = ("team-a", "team-b")

    def works() -> None:
        lab.operator.settled()
        for team in teams:
            assert may(lab, account, "list", "modeldeployments.headgate.dev", team)
        assert not may(lab, account, "list", "modeldeployments.headgate.dev", "default")

    with namespace_gone_after(lab, *teams):
        for team in teams:
            lab.make_namespace(team)
        document.run([by_helm])
        works()
        lab.operator.uninstall()
        document.run(by_kustomize)
        works()


@contextmanager
def namespace_gone_after(lab: Lab, *more: str) -> Iterator[None]:
    """The operator's, and these: kubectl's objects in them are not Helm's to remove."""
    try:
        yield
    finally:
        places = [f"/api/v1/namespaces/{name}" for name in (OPERATOR_NAMESPACE, *more)]
        for place in places:
            lab.wire.delete(place)
        eventually(lambda: all(lab.wire.get(place).status == 404 for place in places), "the namespaces are gone", 90)
