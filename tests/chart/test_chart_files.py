"""What the chart and the manifests are made of agrees with one another and with the package. Needs no helm."""

import importlib.util
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_render import CHART, EVERY_VALUE, ROOT, environment, kustomize, of_kind, place, the
from headgate_operator import __version__
from headgate_operator.options import PREFIX, parser

K8S = ROOT / "k8s"
DEFINITION = ROOT / "crds" / "modeldeployments.headgate.dev.yaml"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
# Any key may be in these.
OPEN = frozenset({"requests", "limits", "nodeAffinity", "podAffinity", "podAntiAffinity", "valueFrom", "global"})


def script(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "charts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def leaves(values: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """What a user sets one by one; a mapping without keys is one value."""
    if isinstance(values, dict) and values:
        for name, value in values.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    else:
        yield path, values


def told_in_schema(schema: Any, path: str = "") -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        inner = f"{path}.{name}" if path else name
        yield inner
        yield from told_in_schema(part, inner)


def test_chart_operator_and_package_have_one_version() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))

    assert about["version"] == about["appVersion"] == __version__


def test_the_readme_says_what_values_yaml_says() -> None:
    readme = (CHART / "README.md").read_text(encoding="utf-8")

    assert readme == script("readme").readme(), "run: python charts/readme.py"


def test_every_value_has_a_comment() -> None:
    rows = list(script("readme").rows((CHART / "values.yaml").read_text(encoding="utf-8")))

    assert [name for name, _, meaning in rows if not meaning] == []
    assert {path.split(".")[0] for path, _ in leaves(VALUES)} == {name.split(".")[0] for name, _, _ in rows}


def test_the_schema_knows_every_value_and_no_other() -> None:
    known = set(told_in_schema(SCHEMA)) - {"global"}
    valued = {path for path, _ in leaves(VALUES)}
    parents = {path[:end] for path in valued for end in range(len(path)) if path[end] == "."}

    assert valued <= known | {f"resources.{kind}.{name}" for kind, part in VALUES["resources"].items() for name in part}
    further = {path for path in known if not path.startswith(("resources.", "affinity."))}
    assert further <= valued | parents


def test_the_schema_leaves_no_object_open_by_mistake() -> None:
    def closed(schema: Any, name: str) -> Iterator[str]:
        if schema.get("type") == "object" and "additionalProperties" not in schema and name not in OPEN:
            yield name
        for inner, part in schema.get("properties", {}).items():
            yield from closed(part, inner)
        if isinstance(schema.get("items"), dict) and "properties" in schema["items"]:
            yield from closed(schema["items"], f"{name}[]")

    assert list(closed(SCHEMA, "")) == []


def test_the_file_with_every_value_has_every_value_and_no_default() -> None:
    every = dict(leaves(yaml.safe_load(EVERY_VALUE.read_text(encoding="utf-8"))))

    for path, default in leaves(VALUES):
        found = [value for name, value in every.items() if name == path or name.startswith(f"{path}.")]
        assert found, f"{path} is missing"
        assert default not in found, f"{path} is its default there"


def test_the_chart_has_the_definition_itself_and_no_copy_of_it() -> None:
    linked = CHART / "files" / "crd.yaml"

    assert linked.is_symlink()
    assert linked.resolve() == DEFINITION


def test_the_chart_gives_the_operator_only_variables_that_it_knows() -> None:
    template = (CHART / "templates" / "deployment.yaml").read_text(encoding="utf-8")
    given = set(re.findall(rf"{PREFIX}\w+", template))
    known = {PREFIX + action.dest.upper() for action in parser({})._actions}

    assert len(given) >= 9
    assert given <= known


# --- k8s/ -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(p.relative_to(ROOT).as_posix() for p in ROOT.glob("k8s/**/kustomization.yaml")))
def test_a_kustomization_refers_to_what_exists_and_forgets_no_file(path: str) -> None:
    folder = (ROOT / path).parent
    resources = yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))["resources"]

    assert all((folder / resource).exists() for resource in resources)
    # The kind configuration is not an object of the cluster.
    beside = {file.name for file in folder.glob("*.yaml")} - {"kustomization.yaml", "kind.yaml"}
    assert beside <= set(resources)


@pytest.mark.parametrize("folder", ["k8s", "k8s/namespaced", "crds"])
def test_kustomize_renders_each_object_once(folder: str) -> None:
    places = [place(obj) for obj in kustomize(ROOT / folder)]

    assert ("CustomResourceDefinition", "", "modeldeployments.headgate.dev") in places
    assert len(places) == len(set(places))


def test_the_definition_can_still_be_applied_as_a_folder() -> None:
    # kubectl takes every .yaml of a folder for an object; a kustomization among them would fail the command.
    assert [path.name for path in DEFINITION.parent.glob("*.yaml")] == [DEFINITION.name]


def test_the_manifests_name_no_registry_until_the_user_does() -> None:
    for folder in ("k8s", "k8s/namespaced"):
        assert environment(the(kustomize(ROOT / folder), "Deployment"))["HEADGATE_OPERATOR_REGISTRY_URI"] == ""


def test_the_namespaced_manifests_give_no_right_in_the_whole_cluster() -> None:
    found = kustomize(K8S / "namespaced")

    assert of_kind(found, "ClusterRole") + of_kind(found, "ClusterRoleBinding") == []
    assert {obj["metadata"]["namespace"] for obj in of_kind(found, "Role")} == {"team-a", "headgate-system"}


def test_the_rights_go_to_any_namespace_by_a_kustomization_of_three_lines(tmp_path: Path) -> None:
    # kustomize takes no absolute path, and a path through .. from where the folder really is.
    rights = Path(*[".."] * len(tmp_path.resolve().relative_to("/").parts), *(K8S / "namespaced/rights").parts[1:])
    (tmp_path / "kustomization.yaml").write_text(f"namespace: team-b\nresources: [{rights}]\n", encoding="utf-8")

    binding = the(kustomize(tmp_path), "RoleBinding")

    assert binding["metadata"]["namespace"] == "team-b"
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "headgate", "namespace": "headgate-system"}]


# --- docs/install.md --------------------------------------------------------------------------------------------------


def test_the_document_lists_the_operators_rights_as_they_are() -> None:
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (core|`[a-z0-9.]+`) \| `([a-z/]+)` \| ([a-z, ]+) \|", text, re.MULTILINE)
    told = {(group.strip("`").replace("core", ""), what): verbs.split(", ") for group, what, verbs in rows}
    role = the(kustomize(K8S / "cluster-wide"), "ClusterRole", "headgate")

    given = {
        (group, what): rule["verbs"]
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for what in rule["resources"]
    }
    assert told == given
