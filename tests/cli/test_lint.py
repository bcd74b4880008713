"""`headgate lint`: refusals of whoever knows the rules, and advice."""

from __future__ import annotations

import asyncio
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from headgate_cli import advice, lint
from headgate_cli.entry import cli
from headgate_operator.api.spec import DEFAULT_STEPS, Capacity, RolloutSpec, policy_of
from headgate_operator.core.evidence.policy import EvidencePolicy
from headgate_operator.core.weights import split
from https_plane import https_plane, model_deployment

SAMPLES = sorted((Path(__file__).parents[2] / "k8s" / "samples").glob("*.yaml"))
SOUND = {"replicas": 4, "serving": {"resources": {"requests": {"cpu": "1"}}}, "rollout": {"steps": [{"weight": 20}]}}
WRONG: dict[str, dict[str, Any]] = {
    "two references": {"model": {"name": "iris", "alias": "a", "version": "3"}},
    "a weight above 50": {"rollout": {"steps": [{"weight": 10}, {"weight": 60}]}},
    "weights that fall": {"rollout": {"steps": [{"weight": 50}, {"weight": 10}]}},
    "an unknown field": {"rollout": {"stepps": []}},
    "a wrong type": {"replicas": "three"},
    "no such strategy": {"rollout": {"strategy": "Blue"}},
    "a duration": {"rollout": {"keepWarm": "soon"}},
}


def file(tmp_path: Path, *objects: Any) -> str:
    path = tmp_path / "mdep.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return str(path)


def run(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["lint", *arguments], input=text)


def advised(**spec: Any) -> dict[str, str]:
    return {one.path: one.message for one in advice.advise(model_deployment(**{**SOUND, **spec}))}


def test_the_samples_have_no_errors() -> None:
    result = run("--offline", *map(str, SAMPLES))
    assert result.exit_code == 0, result.output
    assert "0 errors, " in result.output
    assert "(checked by the rules of headgate[local])." in result.output


def test_advice_alone_is_no_failure_and_is_told_with_its_place(tmp_path: Path) -> None:
    path = file(tmp_path, model_deployment(**{**SOUND, "replicas": 2, "rollout": {"steps": [{"weight": 5}]}}))
    result = run("--offline", path)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{path}: iris: advice: spec.rollout.steps[0].weight: 2 replicas cannot express 5 % (nearest: 33.3 %)",
        "0 errors, 1 piece of advice (checked by the rules of headgate[local]).",
    ]


def test_programs_get_the_findings_as_json(tmp_path: Path) -> None:
    result = run("--offline", "-o", "json", file(tmp_path, model_deployment(**{**SOUND, **WRONG["two references"]})))
    assert result.exit_code == 1
    told = json.loads(result.output)
    assert (told["errors"], told["advice"]) == (1, 0)
    assert told["objects"][0]["findings"] == [
        {
            "level": "error",
            "path": "spec.model",
            "message": "Invalid value: give exactly one of version, alias, stage and latest",
        }
    ]


async def test_the_cluster_is_asked_and_says_the_same_as_the_bundled_rules(tmp_path: Path) -> None:
    objects = [model_deployment(f"m{number}", **{**SOUND, **spec}) for number, spec in enumerate(WRONG.values())]
    objects.append(model_deployment("Not_a_name", **SOUND))
    path = file(tmp_path, *objects)
    async with https_plane(tmp_path / "plane") as on:
        asked = json.loads((await _in_thread(path, "-o", "json", "--kubeconfig", str(on.kubeconfig))).stdout)
        assert on.client.list("ModelDeployment", "default") == [], "a dry run stores nothing"
    bundled = json.loads(run("--offline", "-o", "json", path).stdout)
    for one, other in zip(asked["objects"], bundled["objects"], strict=True):
        assert (one["checkedBy"], other["checkedBy"]) == ("the cluster", "the rules of headgate[local]")
        assert [found["level"] for found in one["findings"]].count("error") >= 1, one
        assert sorted(map(str, one["findings"])) == sorted(map(str, other["findings"]))


async def test_an_object_that_is_there_already_is_checked_like_a_new_one(tmp_path: Path) -> None:
    async with https_plane(tmp_path / "plane") as on:
        on.client.create(model_deployment())
        sound, kubeconfig = model_deployment(**SOUND), str(on.kubeconfig)
        assert (await _in_thread(file(tmp_path, sound), "--kubeconfig", kubeconfig)).exit_code == 0
        wrong = model_deployment(**{**SOUND, **WRONG["no such strategy"]})
        assert (await _in_thread(file(tmp_path, wrong), "--kubeconfig", kubeconfig)).exit_code == 1


async def test_a_cluster_that_cannot_say_is_told_and_the_bundled_rules_are_asked(tmp_path: Path) -> None:
    async with https_plane(tmp_path / "plane", crd=False) as on:
        result = await _in_thread(file(tmp_path, model_deployment(**SOUND)), "--kubeconfig", str(on.kubeconfig))
    assert result.exit_code == 0
    assert "The cluster is not asked: this cluster does not know ModelDeployments" in result.output
    assert "(checked by the rules of headgate[local])" in result.output


async def _in_thread(*arguments: str) -> Result:
    return await asyncio.to_thread(run, *arguments)


def test_without_any_of_them_a_few_rules_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lint.importlib.util, "find_spec", lambda _name: None)
    path = file(tmp_path, model_deployment(**{**SOUND, **WRONG["two references"], **WRONG["a weight above 50"]}))
    result = run("--offline", path)
    assert result.exit_code == 1
    assert "spec.model: give exactly one of" in result.output
    assert "spec.rollout.steps[1].weight: a weight is from 1 to 50, or 100" in result.output
    assert "headgate[local] is not installed" in result.output


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is no YAML: line 1, column 5"),
        ("a: 1\na: 2\n", "is no YAML: line 2, column 1: a is given twice"),
        ("kind: ConfigMap\n", "no ModelDeployment in it"),
        ("", "no ModelDeployment in it"),
        ("kind: ModelDeployment\nspec: [1]\nmetadata: 3\n", "metadata must be an object"),
        ("kind: List\nitems: [{kind: ModelDeployment, spec: {}}]\n", "spec.model: Required value"),
    ],
)
def test_what_is_no_deployment_is_said_to_be_none(text: str, told: str) -> None:
    result = run("--offline", "-", text=text)
    assert result.exit_code == 1
    assert told in result.output


def test_a_file_that_is_not_there_is_an_error_of_its_own() -> None:
    assert "cannot be read" in run("--offline", "/nowhere.yaml").output


def test_what_is_sound_gets_no_advice() -> None:
    assert advised() == {}


@pytest.mark.parametrize(
    ("spec", "path", "told"),
    [
        ({"rollout": {"keepWarm": "0s"}, "replicas": 9}, "spec.rollout.keepWarm", "nothing is kept warm"),
        ({"serving": {**SOUND["serving"], "image": "a:5000/x"}}, "spec.serving.image", "is not fixed"),  # type: ignore[dict-item]
        ({"serving": {**SOUND["serving"], "image": "x:latest"}}, "spec.serving.image", "is not fixed"),  # type: ignore[dict-item]
        ({"serving": {}}, "spec.serving.resources", "no requests"),
        ({"replicas": 1}, "spec.replicas", "run at least two"),
        ({"analysis": {"falseRollback": "0.5"}}, "spec.analysis.falseRollback", "in up to 50 % of the rollouts"),
        ({"analysis": {"falsePromote": "0.0001"}}, "spec.analysis.falsePromote", "many more requests"),
        ({"analysis": {"minRequests": 1000}}, "spec.analysis.minRequests", "5,000 of all clients at 20 %"),
        ({"analysis": {"predictionShift": "Rollback"}}, "spec.analysis.predictionShift", "a better version predicts"),
        (
            {"analysis": {"predictionShift": "Hold", "source": "Prometheus"}},
            "spec.analysis.predictionShift",
            "counts for nothing",
        ),
        ({"rollout": {"onInconclusive": "Promote"}}, "spec.rollout.onInconclusive", "without any evidence"),
        ({"rollout": {"strategy": "Rolling"}}, "spec.rollout.strategy", "asks for no evidence"),
        (
            {"rollout": {"strategy": "BlueGreen", "steps": [{"weight": 5}]}},
            "spec.rollout.steps",
            "counts for nothing: the strategy is BlueGreen",
        ),
        (
            {"rollout": {"steps": [{"weight": 1}], "unachievableWeight": "Reject"}},
            "spec.rollout.steps[0].weight",
            "no rollout begins",
        ),
        ({"rollout": {"steps": [{"weight": 19}, {"weight": 20}]}}, "spec.rollout.steps[1].weight", "the same share"),
        ({"model": {"name": "m", "stage": "Production"}}, "spec.model.stage", "deprecated"),
    ],
)
def test_what_is_rarely_meant_is_told(spec: dict[str, Any], path: str, told: str) -> None:
    assert told in advised(**spec).get(path, "")


def test_a_fixed_image_is_fine() -> None:
    for image in ("x:1.2", "a:5000/x:1", "x@sha256:00"):
        assert advised(serving={"image": image, "resources": SOUND["serving"]["resources"]}) == {}  # type: ignore[index]


@given(st.sampled_from(Capacity), st.integers(1, 60), st.integers(1, 50))
def test_shares_are_those_that_the_operator_makes(capacity: Capacity, replicas: int, weight: int) -> None:
    assert advice.nearest(str(capacity), replicas, weight) == split(capacity, replicas, weight).share


def test_defaults_are_those_of_the_operator() -> None:
    policy = policy_of(RolloutSpec())
    assert str(policy.strategy) == advice._strategy({})
    assert tuple(step.weight for step in DEFAULT_STEPS if step.weight <= 50) == advice.DEFAULT_STEPS
    assert advice.UNUSUAL_BELOW < EvidencePolicy().false_rollback < advice.UNUSUAL_ABOVE


ODD: list[Any] = [
    None, True, -1, 0, 3, 10**9, 1.5, float("nan"), "", "0s", "1.5h", "x:", "nan", [], {}, [None], [3], [{}],
    [{"weight": None}], [{"weight": 0}], [{"weight": 70}, {"weight": 5}], {"requests": 3},
]  # fmt: skip
FIELDS = ("model", "replicas", "serving", "rollout", "analysis")
NAMES = (
    "steps", "keepWarm", "image", "minRequests", "falseRollback", "resources", "capacity", "maxDuration",
    "predictionShift",
)  # fmt: skip
odd = st.sampled_from(ODD)


@given(st.dictionaries(st.sampled_from(FIELDS), odd | st.dictionaries(st.sampled_from(NAMES), odd)))
def test_whatever_stands_there_advice_never_fails(spec: dict[str, Any]) -> None:
    advice.advise({"spec": spec})
    advice.basics({"spec": spec})


def test_percent_is_short() -> None:
    assert [advice.percent(Fraction(1, 3)), advice.percent(Fraction(1, 2))] == ["33.3", "50"]
