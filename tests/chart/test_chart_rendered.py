"""What the chart renders, by the real helm: with every value, without bad ones, and the same as the plain manifests."""

import importlib.util
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_render import (
    CHART,
    CLUSTER_SCOPED,
    EVERY_VALUE,
    REGISTRY,
    ROOT,
    Helm,
    Obj,
    done,
    environment,
    helm_program,
    kustomize,
    objects,
    of_kind,
    place,
    the,
)

DEFINITION = ROOT / "crds" / "modeldeployments.headgate.dev.yaml"
EVERY = yaml.safe_load(EVERY_VALUE.read_text(encoding="utf-8"))
WITHIN = {"watchNamespaces": ["team-a", "team-b"]}


@pytest.fixture(scope="module")
def helm() -> Helm:
    return Helm(helm_program())


@pytest.fixture(scope="module")
def default(helm: Helm) -> list[Obj]:
    return helm.template()


def pod_of(found: list[Obj]) -> Obj:
    template: Obj = the(found, "Deployment")["spec"]["template"]
    return template


def container_of(found: list[Obj]) -> Obj:
    (container,) = pod_of(found)["spec"]["containers"]
    return dict(container)


def test_helm_finds_nothing_to_complain_about(helm: Helm) -> None:
    done(helm.program, "lint", "--strict", str(CHART), "--set", f"registry.uri={REGISTRY}")
    done(helm.program, "lint", "--strict", str(CHART), "--values", str(EVERY_VALUE))


def test_by_default_there_is_what_an_operator_for_a_cluster_needs(default: list[Obj]) -> None:
    kinds = sorted(obj["kind"] for obj in default)

    assert kinds == sorted(
        [
            *["ClusterRole"] * 3,
            "ClusterRoleBinding",
            "CustomResourceDefinition",
            "Deployment",
            "NetworkPolicy",
            "PodDisruptionBudget",
            "Role",
            "RoleBinding",
            "Service",
            "ServiceAccount",
        ]
    )


# --- values -----------------------------------------------------------------------------------------------------------


def test_every_value_reaches_the_pod(helm: Helm) -> None:
    found = objects(done(helm.program, "template", "r", str(CHART), "--values", str(EVERY_VALUE)))
    assert [place(obj)[::2] for obj in found] == [("Deployment", "gate")]
    (deployment,) = found
    pod, container = deployment["spec"]["template"], container_of(found)

    assert container["image"] == f"registry.example:5000/tools/headgate-operator:7@{EVERY['image']['digest']}"
    assert container["imagePullPolicy"] == "Always"
    assert container["resources"] == EVERY["resources"]
    assert container["env"][-2:] == EVERY["extraEnv"]
    assert environment(deployment) | {"NODE": "", "HTTPS_PROXY": ""} == {
        "HEADGATE_OPERATOR_REGISTRY_URI": "https://mlflow.example/team",
        "HEADGATE_OPERATOR_REGISTRY_CREDENTIALS": "/etc/headgate/registry",
        "HEADGATE_OPERATOR_ALLOW_REGISTRY": "http://other.example:5000,https://third.example",
        "HEADGATE_OPERATOR_ALLOW_PROMETHEUS": "http://prometheus.monitoring:9090,https://thanos.example/query",
        "HEADGATE_OPERATOR_ALLOW_WEBHOOK": "bots.example.com,chat.example.com:8443",
        "HEADGATE_OPERATOR_NOTIFY_SLACK_URL_FILE": "/etc/headgate/notify-slack/url",
        "HEADGATE_OPERATOR_NOTIFY_URL_FILE": "/etc/headgate/notify-json/url",
        "HEADGATE_OPERATOR_SERVER_IMAGE": "registry.example/headgate-server:7",
        "HEADGATE_OPERATOR_NAMESPACE": "team-a,team-b",
        "HEADGATE_OPERATOR_POLL_INTERVAL": "30s",
        "HEADGATE_OPERATOR_RESYNC": "1m30s",
        "HEADGATE_OPERATOR_LOG_FORMAT": "text",
        "HEADGATE_OPERATOR_NO_LEADER_ELECT": "true",
        "HTTPS_PROXY": "",
        "NODE": "",
    }
    same = [
        "imagePullSecrets",
        "nodeSelector",
        "tolerations",
        "affinity",
        "topologySpreadConstraints",
        "priorityClassName",
    ]
    assert {name: pod["spec"][name] for name in same} == {name: EVERY[name] for name in same}
    assert pod["spec"]["serviceAccountName"] == "existing"
    assert pod["metadata"]["annotations"] == EVERY["podAnnotations"]
    assert pod["metadata"]["labels"].items() >= EVERY["podLabels"].items()
    for name, secret in {"registry": "mlflow", "notify-slack": "slack-url", "notify-json": "json-url"}.items():
        assert {"name": name, "secret": {"secretName": secret, "defaultMode": 0o440}} in pod["spec"]["volumes"]
        assert {"name": name, "mountPath": f"/etc/headgate/{name}", "readOnly": True} in container["volumeMounts"]
    assert (deployment["spec"]["replicas"], deployment["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_every_value_reaches_the_objects_beside_the_pod(helm: Helm) -> None:
    parts = ("podDisruptionBudget.maxUnavailable", "metrics.service.port", "metrics.service.annotations")
    values = {name: _at(EVERY, name) for name in parts} | {
        "serviceAccount.name": "mine",
        "serviceAccount.annotations": EVERY["serviceAccount"]["annotations"],
        "networkPolicy.metricsFrom": EVERY["networkPolicy"]["metricsFrom"],
        "networkPolicy.egress": EVERY["networkPolicy"]["egress"],
    }
    found = helm.template(values=values)

    assert the(found, "PodDisruptionBudget")["spec"]["maxUnavailable"] == "50%"
    service, policy, account = the(found, "Service"), the(found, "NetworkPolicy"), the(found, "ServiceAccount")
    assert service["spec"]["ports"][0]["port"] == 9090
    assert service["metadata"]["annotations"] == {"prometheus.io/scrape": "true"}
    assert policy["spec"]["ingress"][0]["from"] == EVERY["networkPolicy"]["metricsFrom"]
    assert policy["spec"]["egress"] == EVERY["networkPolicy"]["egress"]
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert (account["metadata"]["name"], account["metadata"]["annotations"]) == (
        "mine",
        {"example.com/role": "headgate"},
    )
    for binding in (*of_kind(found, "ClusterRoleBinding"), *of_kind(found, "RoleBinding")):
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "mine", "namespace": "headgate-system"}]


@pytest.mark.parametrize(
    ("value", "gone"),
    [
        ("serviceAccount.create", {("ServiceAccount", "headgate")}),
        ("podDisruptionBudget.enabled", {("PodDisruptionBudget", "headgate")}),
        ("metrics.service.enabled", {("Service", "headgate-metrics")}),
        ("networkPolicy.enabled", {("NetworkPolicy", "headgate")}),
        ("crds.install", {("CustomResourceDefinition", "modeldeployments.headgate.dev")}),
        ("rbac.aggregate", {("ClusterRole", "headgate-view"), ("ClusterRole", "headgate-edit")}),
        (
            "rbac.create",
            {
                ("ClusterRole", "headgate"),
                ("ClusterRoleBinding", "headgate"),
                ("Role", "headgate-leader"),
                ("RoleBinding", "headgate-leader"),
            },
        ),
    ],
)
def test_a_switch_takes_away_what_it_names_and_nothing_else(
    helm: Helm, default: list[Obj], value: str, gone: set[tuple[str, str]]
) -> None:
    left = {place(obj)[::2] for obj in helm.template(values={value: False})}

    assert {place(obj)[::2] for obj in default} - left == gone
    assert left <= {place(obj)[::2] for obj in default}


def test_without_the_right_to_read_secrets_no_role_names_them(helm: Helm, default: list[Obj]) -> None:
    def named(found: list[Obj]) -> set[str]:
        rules = [rule for obj in found for rule in obj.get("rules", [])]
        return {resource for rule in rules for resource in rule["resources"]}

    assert named(default) - named(helm.template(values={"rbac.readSecrets": False})) == {"secrets"}


@pytest.mark.parametrize(("given", "tag"), [("1.2.3-rc.1", "1.2.3-rc.1"), (20261121, "20261121"), ("", "0.1.0")])
def test_a_tag_is_taken_as_it_is_written(helm: Helm, tmp_path: Path, given: object, tag: str) -> None:
    (tmp_path / "values.yaml").write_text(yaml.safe_dump({"image": {"tag": given}}), encoding="utf-8")

    found = helm.template("--values", str(tmp_path / "values.yaml"))

    assert container_of(found)["image"] == f"ghcr.io/headgate/headgate-operator:{tag}"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"registry.uri": ""}, "registry.uri is required: the address of your MLflow registry, such as --set registry"),
        ({"registry.uri": "mlflow:5000"}, "'/registry/uri': 'mlflow:5000' does not match pattern '^(https?://"),
        ({"registry.uri": "http://me:secret@mlflow"}, "/registry/uri"),
        ({"registry.allow": ["http://a,http://b"]}, "/registry/allow/0"),
        ({"prometheus.allow": ["http://a,http://b"]}, "/prometheus/allow/0"),
        ({"webhooks.allow": ["https://bots.example.com/x"]}, "/webhooks/allow/0"),
        ({"leaderElection.enabled": False}, "leaderElection.enabled=false needs replicaCount=1, not 2: two operators"),
        ({"image.tga": "1"}, "at '/image': additional properties 'tga' not allowed"),
        ({"replicas": 3}, "additional properties 'replicas' not allowed"),
        ({"replicaCount": 0}, "at '/replicaCount': minimum: got 0, want 1"),
        ({"replicaCount": "2"}, "at '/replicaCount': got string, want integer"),
        ({"image.digest": "sha256:abc"}, "/image/digest"),
        ({"image.pullPolicy": "always"}, "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ({"image.repository": "registry.example/operator:1"}, "/image/repository"),
        ({"pollInterval": 15}, "at '/pollInterval': got number, want string"),
        ({"resync": "5 minutes"}, "/resync"),
        ({"logFormat": "xml"}, "value must be one of 'json', 'text'"),
        ({"watchNamespaces": "team-a"}, "at '/watchNamespaces': got string, want array"),
        ({"watchNamespaces": ["Team"]}, "/watchNamespaces/0"),
        ({"podDisruptionBudget.maxUnavailable": 0}, "/podDisruptionBudget/maxUnavailable"),
        ({"podLabels": {"app.kubernetes.io/name": "mine"}}, "invalid propertyName 'app.kubernetes.io/name'"),
        ({"extraEnv": [{"name": "A", "value": 1}]}, "at '/extraEnv/0/value': got number, want string"),
        ({"nodeSelector": {"gpu": True}}, "at '/nodeSelector/gpu': got boolean, want string"),
        ({"metrics.service.port": 70000}, "/metrics/service/port"),
        ({"fullnameOverride": "Gate"}, "/fullnameOverride"),
    ],
)
def test_a_bad_value_is_refused_by_name(helm: Helm, values: Mapping[str, Any], said: str) -> None:
    assert said in helm.refusal(values)


# --- rights -----------------------------------------------------------------------------------------------------------


def test_in_chosen_namespaces_nothing_reaches_beyond_them(helm: Helm, default: list[Obj]) -> None:
    found = helm.template(values=WITHIN)

    assert {obj["kind"] for obj in found} & CLUSTER_SCOPED == {"CustomResourceDefinition"}
    roles = {
        obj["metadata"]["namespace"]: obj["rules"] for obj in of_kind(found, "Role") if place(obj)[2] == "headgate"
    }
    assert set(roles) == {"team-a", "team-b"}
    # The same rights, narrower: what works in a cluster works in a namespace.
    assert roles["team-a"] == roles["team-b"] == the(default, "ClusterRole", "headgate")["rules"]
    bound = {place(obj)[1:]: obj["roleRef"] for obj in of_kind(found, "RoleBinding")}
    assert {place[0] for place in bound} == {"team-a", "team-b", "headgate-system"}
    assert {ref["kind"] for ref in bound.values()} == {"Role"}
    assert environment(the(found, "Deployment"))["HEADGATE_OPERATOR_NAMESPACE"] == "team-a,team-b"


def test_no_right_is_given_by_a_star(default: list[Obj]) -> None:
    for role in (*of_kind(default, "ClusterRole"), *of_kind(default, "Role")):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]


def test_leases_are_named_except_where_one_is_made(default: list[Obj]) -> None:
    role = the(default, "Role")
    lease = environment(the(default, "Deployment"))["HEADGATE_OPERATOR_LEASE_NAME"]

    named = [(rule["verbs"], rule.get("resourceNames")) for rule in role["rules"]]
    assert named == [(["create"], None), (["get", "update"], [lease])]


def test_only_the_operators_pod_gets_a_token(default: list[Obj]) -> None:
    assert the(default, "ServiceAccount")["automountServiceAccountToken"] is False
    assert pod_of(default)["spec"]["automountServiceAccountToken"] is True


# --- objects ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [{}, {"fullnameOverride": "gate", "podLabels": {"team": "platform"}}])
def test_whatever_selects_pods_selects_the_operators(helm: Helm, values: Mapping[str, Any]) -> None:
    found = helm.template(values=values)
    labels = pod_of(found)["metadata"]["labels"]
    selectors = [
        the(found, "Deployment")["spec"]["selector"]["matchLabels"],
        the(found, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        the(found, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        the(found, "Service")["spec"]["selector"],
        pod_of(found)["spec"]["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"],
    ]

    assert all(selector == selectors[0] for selector in selectors)
    assert selectors[0].items() <= labels.items()
    # What changes from version to version must not be in a selector, which cannot change.
    assert set(selectors[0]) == {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
    # The operator takes what carries this label for its own children.
    assert labels.get("app.kubernetes.io/managed-by") != "headgate"


def test_ports_are_referred_to_by_names_that_exist(default: list[Obj]) -> None:
    container = container_of(default)
    (port,) = container["ports"]

    assert port == {"name": "health", "containerPort": 8090, "protocol": "TCP"}
    assert the(default, "Service")["spec"]["ports"][0]["targetPort"] == "health"
    assert the(default, "NetworkPolicy")["spec"]["ingress"][0]["ports"] == [{"port": "health", "protocol": "TCP"}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "health"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}


def test_the_pod_is_what_the_strictest_standard_asks_for(default: list[Obj]) -> None:
    pod, container = pod_of(default)["spec"], container_of(default)

    assert pod["securityContext"].items() >= {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532}.items()
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"name": "tmp", "mountPath": "/tmp"} in container["volumeMounts"]
    assert {"memory"} == set(container["resources"]["limits"])


def test_the_definition_is_the_one_of_crds_and_is_kept(helm: Helm, default: list[Obj]) -> None:
    source = yaml.safe_load(DEFINITION.read_text(encoding="utf-8"))
    kept = {"annotations": {"helm.sh/resource-policy": "keep"}}

    assert the(default, "CustomResourceDefinition") == {**source, "metadata": {**source["metadata"], **kept}}
    assert the(helm.template(values={"crds.keep": False}), "CustomResourceDefinition") == source


def test_a_long_name_of_a_release_makes_names_that_fit(helm: Helm) -> None:
    name = "a-very-long-name-of-a-release-that-helm-just-takes-53"
    text = done(helm.program, "template", name, str(CHART), "--set", f"registry.uri={REGISTRY}")

    for obj in objects(text):
        assert len(obj["metadata"]["name"]) <= 63


# --- package and manifests --------------------------------------------------------------------------------------------


def test_a_package_renders_what_the_folder_renders(helm: Helm, default: list[Obj], tmp_path: Path) -> None:
    done(helm.program, "package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("headgate-*.tgz")

    with tarfile.open(package) as archive:
        member = archive.extractfile("headgate/files/crd.yaml")
        assert member is not None
        assert member.read() == DEFINITION.read_bytes()
    text = done(
        helm.program, "template", "headgate", str(package), "-n", "headgate-system", "--set", f"registry.uri={REGISTRY}"
    )
    assert objects(text) == default


def test_the_manifests_are_written_anew_after_a_change_of_the_chart(helm: Helm) -> None:
    spec = importlib.util.spec_from_file_location("manifests", ROOT / "charts" / "manifests.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    for path, text in module.manifests(helm.program).items():
        assert (ROOT / "k8s" / path).read_text(encoding="utf-8") == text, "run: python charts/manifests.py"


@pytest.mark.parametrize(
    ("folder", "values"),
    [("k8s", {}), ("k8s/namespaced", {"watchNamespaces": ["team-a"]})],
    ids=["cluster", "namespaced"],
)
def test_kustomize_and_helm_make_the_same_objects(
    helm: Helm, tmp_path: Path, folder: str, values: Mapping[str, Any]
) -> None:
    # As a user does: with the registry written into the file.
    for part in ("k8s", "crds"):
        shutil.copytree(ROOT / part, tmp_path / part)
    file = tmp_path / folder / "kustomization.yaml"
    text = file.read_text(encoding="utf-8").replace('_URI, value: ""', f"_URI, value: {REGISTRY}")
    file.write_text(text, encoding="utf-8")

    plain = {place(obj): _without_helms_own(obj) for obj in kustomize(tmp_path / folder)}
    charted = {place(obj): _without_helms_own(obj) for obj in helm.template(values=values)}

    # Helm makes the namespace itself, by --create-namespace.
    del plain["Namespace", "", "headgate-system"]
    assert plain.keys() == charted.keys()
    for where, obj in charted.items():
        assert plain[where] == obj, where


def _without_helms_own(obj: Obj) -> Obj:
    """Helm's labels and its policy for the definition; the order of variables, which means nothing."""
    meta = {**obj["metadata"]}
    labels = {name: value for name, value in meta.pop("labels", {}).items() if name != "helm.sh/chart"}
    if labels.get("app.kubernetes.io/managed-by") == "Helm":
        del labels["app.kubernetes.io/managed-by"]
    notes = meta.pop("annotations", {})
    notes.pop("helm.sh/resource-policy", None)
    told = {**obj, "metadata": {**meta, "labels": labels, "annotations": notes}}
    if obj["kind"] == "Deployment":
        (container,) = told["spec"]["template"]["spec"]["containers"]
        container["env"] = sorted(container["env"], key=lambda entry: str(entry["name"]))
    return told


def _at(values: Any, path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values
