"""Replay as a user runs it: a file in, lines out, and a clear refusal of what cannot be replayed."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from evidence_lab import EVERYTHING, latencies, play
from headgate_operator import replay
from headgate_operator.api.spec import PredictionShift
from headgate_operator.core.evidence import cases
from headgate_operator.core.evidence.interval import Arm, Interval
from headgate_operator.core.evidence.place import CaseError
from headgate_operator.core.evidence.policy import EvidencePolicy

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "replay.md"
Obj = dict[str, Any]


def arm(requests: float, errors: float, **more: Any) -> Obj:
    return {"requests": requests, "errors": errors, **more}


def ticks(*counts: tuple[float, float, float, float]) -> list[Obj]:
    return [
        {"t": 10 * (index + 1), "canary": arm(n_c, k_c), "stable": arm(n_s, k_s)}
        for index, (n_c, k_c, n_s, k_s) in enumerate(counts)
    ]


def lines(case: Any) -> list[Obj]:
    found = cases.parse(json.dumps(case))
    return [line.json() for one in found for line in replay.replay(one)]


def refused(text: str) -> str:
    with pytest.raises(CaseError) as told:
        cases.parse(text)
    return str(told.value)


def test_one_line_a_tick_with_exactly_what_was_promised() -> None:
    (line,) = lines({"ticks": ticks((100, 4, 900, 9))})
    assert list(line) == ["t", "verdict", "gate", "reason", "log_e"]
    assert (line["t"], line["verdict"], line["gate"]) == (10, "wait", "errorRate")
    assert line["log_e"] == pytest.approx({"errorRate.harm": 0.553459, "errorRate.safety": -1.0987}, abs=5e-5)


def test_one_gate_has_all_of_the_tolerated_probability() -> None:
    found = lines({"policy": {"false_rollback": 0.025}, "ticks": ticks(*[(100, 4, 900, 9)] * 4)})
    assert [line["verdict"] for line in found] == ["wait", "wait", "wait", "rollback"]
    assert found[-1]["log_e"]["errorRate.harm"] == pytest.approx(4.6126, abs=5e-5)


def test_it_goes_on_after_the_decision() -> None:
    found = lines({"ticks": ticks(*[(100, 30, 900, 9)] * 8)})
    assert len(found) == 8
    assert found[-1]["verdict"] == "rollback"


def test_nothing_scraped_is_neither_good_nor_bad() -> None:
    nothing: list[Obj] = [{"t": 10 * i, "stable": arm(900, 9), "canary": None} for i in range(1, 100)]
    found = lines({"ticks": nothing})
    assert {line["verdict"] for line in found} == {"wait"}
    assert found[-1]["reason"].endswith("missing: no requests to the candidate in the last 60 s")
    assert lines({"ticks": [{"t": 5}]})[0]["verdict"] == "wait"


def test_time_may_jump_and_be_a_fraction() -> None:
    told = lines({"ticks": [{"t": t, "stable": arm(90, 1), "canary": arm(10, 0)} for t in (0, 0.5, 7200, 1e6)]})
    assert [line["t"] for line in told] == [0, 0.5, 7200, 1_000_000]


def test_several_cases_name_theirs() -> None:
    one, other = {"id": "one", "ticks": ticks((9, 0, 9, 0))}, {"ticks": ticks((9, 0, 9, 0))}
    assert [line["id"] for line in lines([one, other])] == ["one", "1"]
    assert next(iter(lines([one])[0])) == "id"
    assert "id" not in lines(one)[0]


def test_what_stands_beside_the_cases_holds_for_all() -> None:
    strict = {
        "policy": {"min_effect_abs": 0.5},
        "interval_s": 5,
        "cases": [{"ticks": ticks(*[(100, 12, 900, 9)] * 3)}],
    }
    own = {**strict, "cases": [{"policy": {"min_effect_abs": 0.1}, "ticks": ticks(*[(100, 12, 900, 9)] * 3)}]}
    assert lines(strict)[-1]["verdict"] == "wait"
    assert lines(own)[-1]["verdict"] == "rollback"


def test_bounds_of_latency_may_stand_beside_the_cases() -> None:
    bounds = [0.05, 0.0625, 0.078125, 0.09765625]
    ours, theirs = [0, 0, 10, 60, 30], [300, 300, 250, 40, 10]
    case = {
        "kind": "latency",
        "ticks": [
            {"t": 10 * i, "canary": arm(100, 0, latency=ours), "stable": arm(900, 0, latency=theirs)}
            for i in range(1, 12)
        ],
    }
    found = lines({"latency_bucket_upper_bounds_s": bounds, "cases": [case]})
    assert "rollback" in {line["verdict"] for line in found}
    last = found[-1]
    assert last["gate"] == "latency"
    assert set(last["log_e"]) == {"errorRate.harm", "errorRate.safety", "latency.harm", "latency.safety"}


def test_latency_alone_is_a_gate_where_no_errors_were_counted() -> None:
    counts = [0] * 58
    counts[20] = 100
    case = {
        "kind": "latency",
        "ticks": [{"t": 10, "canary": {"requests": 100, "latency": counts}, "stable": None}],
    }
    assert set(lines(case)[0]["log_e"]) == {"latency.harm", "latency.safety"}


def test_refused_inputs_are_a_gate_where_they_were_counted() -> None:
    case = {"ticks": [{"t": 10, "canary": arm(10, 0, client_errors=1), "stable": arm(90, 0)}]}
    assert "clientErrors.harm" in lines(case)[0]["log_e"]


def test_predictions_are_a_gate_where_they_were_counted() -> None:
    ours, theirs = [["a", 50], ["b", 50]], [["a", 810], ["b", 90]]
    tick = {"canary": arm(100, 0, predictions=ours), "stable": arm(900, 0, predictions=theirs)}
    case = {"ticks": [{"t": 10 * n, **tick} for n in range(1, 9)]}
    assert lines(case)[0]["log_e"]["predictionShift.harm"] == 0, "these make the bins"
    last = lines(case)[-1]
    assert (last["verdict"], last["gate"]) == ("wait", "predictionShift")
    assert "missing: predictions of the candidate differ from those of stable: class b 10 % -> 50 %" in last["reason"]
    assert lines({**case, "policy": {"prediction_shift": "Rollback"}})[-1]["verdict"] == "rollback"
    assert lines({**case, "gates": ["errorRate"]})[-1]["gate"] == "errorRate"


def test_the_live_engine_and_replay_say_the_same() -> None:
    rng = random.Random(3)

    def counted(requests: int) -> Arm:
        return Arm(
            requests=requests,
            errors=rng.randint(0, requests // 10),
            client_errors=rng.randint(0, requests // 20),
            cold_requests=requests // 2,
            latency=latencies(rng, requests),
            predictions=(("setosa", requests / 2), (257, rng.randint(1, requests))),
        )

    def told(one: Arm | None) -> Obj | None:
        if one is None:
            return None
        names = ("requests", "errors", "client_errors", "cold_requests", "latency", "predictions")
        return {name: getattr(one, name) for name in names}

    live = [Interval(at=10.0 * i, candidate=counted(40) if i % 7 else None, stable=counted(300)) for i in range(1, 30)]
    case = {
        "kind": "latency",
        "candidate": "version 4",
        "stable": "version 3",
        "ticks": [{"t": one.at, "canary": told(one.candidate), "stable": told(one.stable)} for one in live],
    }
    for line, said in zip(lines(case), play(EVERYTHING, live), strict=True):
        judgement = said.judgement
        assert (line["verdict"], line["gate"]) == (judgement.verdict, judgement.gate)
        assert line["reason"].startswith(judgement.reason)
        assert line["log_e"] == pytest.approx(dict(judgement.log_e), abs=1e-6)


@pytest.mark.parametrize(
    "policy",
    [
        EVERYTHING,
        EvidencePolicy(
            interval=2,
            max_increase=0.03,
            min_effect=0.004,
            min_ratio=1.4,
            max_rate=0.1,
            max_latency_ratio=2.5,
            min_duration=9,
            min_requests=7,
            false_rollback=0.01,
            false_promote=0.1,
            client_errors=False,
            bounds=(0.1, 0.125, 0.5),
        ),
        EvidencePolicy(max_latency_ratio=None, error_rate=False, prediction_shift=PredictionShift.DISABLED),
        EvidencePolicy(prediction_shift=PredictionShift.ROLLBACK),
    ],
)
def test_a_policy_that_was_recorded_is_the_same_when_it_is_replayed(policy: EvidencePolicy) -> None:
    (case,) = cases.parse(json.dumps({**cases.told(policy), "ticks": []}))
    assert isinstance(case, cases.Case)
    assert case.policy == policy
    assert case.ignored == ()


def shadow(*counts: tuple[float, float], **policy: float) -> list[Obj]:
    made = [{"t": 100 * (index + 1), "compared": n, "disagree": k} for index, (n, k) in enumerate(counts)]
    return lines({"kind": "shadow", "policy": policy, "ticks": made})


def test_pairs_that_agree_pass() -> None:
    found = shadow((208, 0), (1, 0), max_disagreement=0.02)
    assert [line["verdict"] for line in found] == ["wait", "promote"]
    assert [line["log_e"]["disagreement.safety"] for line in found] == pytest.approx([2.9822, 2.9988], abs=5e-5)


def test_pairs_that_disagree_roll_back_where_a_limit_is_set() -> None:
    assert shadow((500, 60), max_disagreement=0.02)[0]["verdict"] == "rollback"
    (held,) = shadow((500, 60))
    assert held["verdict"] == "wait"
    assert held["reason"] == (
        "the versions disagree on 12.0 % of 500 pairs: more than 2.0 % (evidence 10^24, bound 20); "
        "missing: somebody to look at it: no limit was set"
    )


def test_pairs_that_were_not_counted_are_no_data() -> None:
    found = lines({"kind": "shadow", "ticks": [{"t": 9, "compared": None}, {"t": 99, "compared": 5, "disagree": 9}]})
    assert [line["log_e"]["disagreement.harm"] for line in found] == pytest.approx([0, 0])


SHORT = json.dumps(
    {
        "kind": "latency",
        "latency_bucket_upper_bounds_s": [1, 2],
        "ticks": [{"t": 1, "stable": {"requests": 5, "latency": [1, 2]}}],
    }
)
PREDICTED = '{"ticks": [{"t": 1, "stable": {"requests": 5, "errors": 1, "predictions": %s}}]}'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("7", "must be one case or a list of cases, not 7"),
        ("{}", "ticks: is missing"),
        ('{"ticks": 3}', "ticks: must be a list, not 3"),
        ('{"ticks": [3]}', "ticks[0]: must be an object, not 3"),
        ('[{"ticks": [{}]}]', "[0].ticks[0].t: is missing"),
        ('{"ticks": [{"t": -1}]}', "ticks[0].t: must be at least 0, not -1"),
        ('{"ticks": [{"t": 10}, {"t": 10}]}', "ticks[1].t: must be after the tick before it (10), not 10"),
        ('{"ticks": [{"t": NaN}]}', "NaN is no number"),
        ('{"ticks": [{"t": true}]}', "ticks[0].t: must be a number, not true"),
        ('{"ticks": [{"t": 1, "canary": 5}]}', "ticks[0].canary: must be an object, not 5"),
        ('{"ticks": [{"t": 1, "canary": {"requests": 5}}]}', "ticks[0].canary.errors: is missing"),
        (
            '{"ticks": [{"t": 1, "stable": {"requests": "x", "errors": 1}}]}',
            'stable.requests: must be a number, not "x"',
        ),
        (
            '{"ticks": [{"t": 1, "stable": {"requests": -4, "errors": 1}}]}',
            "stable.requests: must be at least 0, not -4",
        ),
        ('{"kind": "drift", "ticks": []}', 'kind: must be one of errors, latency, shadow, not "drift"'),
        ('{"policy": 3, "ticks": []}', "policy: must be an object, not 3"),
        ('{"policy": {"false_rollback": 1}, "ticks": []}', "policy.false_rollback: must lie between 0 and 1, not 1.0"),
        (
            '{"cases": [{"policy": {"false_promote": "x"}, "ticks": []}]}',
            "cases[0].policy.false_promote: must be a number",
        ),
        ('{"kind": "latency", "latency_bucket_upper_bounds_s": [2, 1], "ticks": []}', "must increase"),
        ('{"kind": "latency", "latency_bucket_upper_bounds_s": 2, "ticks": []}', "must be a list of seconds, not 2"),
        (SHORT, "ticks[0].stable.latency: must have 3 counts, one a bucket and one above the last bound, not 2"),
        ('{"kind": "shadow", "ticks": [{"t": 1, "compared": 4}]}', "ticks[0].disagree: is missing"),
        ("[" * 100_000, "not JSON"),
        ('{"ticks": [{"t": 1' + "0" * 5000 + "}]}", "not JSON"),
        ('{"ticks": [{"t": 1' + "0" * 400 + "}]}", "ticks[0].t: must be at most 1e+15"),
        ('{"gates": ["latency"], "ticks": []}', "gates: must be a list of some of errorRate, clientErrors"),
        (
            '{"policy": {"prediction_shift": "Disabled"}, "gates": ["predictionShift"], "ticks": []}',
            "one of Hold, Rollback",
        ),
        (PREDICTED % "3", "ticks[0].stable.predictions: must be a list of pairs"),
        (
            PREDICTED % '["setosa"]',
            "ticks[0].stable.predictions[0]: must be a class or a step of the ladder and a count",
        ),
        (PREDICTED % "[[1.5, 2]]", "predictions[0]: must be a class or a step of the ladder and a count"),
        (PREDICTED % '[["a", 2], ["a", 3]]', 'predictions[1]: "a" stands there twice'),
        (PREDICTED % '[["a", -2]]', "ticks[0].stable.predictions[0].1: must be at least 0, not -2"),
        ("[[]]", "[0]: must be an object, not []"),
        ('{"id": [], "ticks": []}', "id: must be a string, not []"),
    ],
)
def test_what_cannot_be_replayed_is_refused_with_its_place(text: str, why: str) -> None:
    assert why in refused(text)


def run(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "headgate_operator.replay", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_a_file_is_replayed_and_the_status_says_so(tmp_path: Path) -> None:
    file = tmp_path / "case.json"
    file.write_text(json.dumps({"policy": {"typo": 1}, "ticks": ticks(*[(100, 30, 900, 9)] * 3)}))
    done = run(str(file))
    assert done.returncode == 0
    assert [json.loads(line)["t"] for line in done.stdout.splitlines()] == [10, 20, 30]
    assert done.stderr == f"headgate replay: {file}: ignored in policy: typo\n"
    assert run("-", stdin=file.read_text()).stdout == done.stdout


@pytest.mark.parametrize(("file", "why"), [("none.json", "No such file or directory"), ("bad.json", "not JSON")])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, file: str, why: str) -> None:
    (tmp_path / "bad.json").write_text("{")
    done = run(str(tmp_path / file))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"headgate replay: {tmp_path / file}: {why}")


def test_nothing_is_replayed_of_a_file_with_one_bad_case(tmp_path: Path) -> None:
    done = run("-", stdin=json.dumps([{"ticks": ticks((9, 0, 9, 0))}, {"ticks": [{"t": "x"}]}]))
    assert (done.returncode, done.stdout) == (2, "")


def test_replay_needs_nothing_but_the_standard_library() -> None:
    code = "import sys, headgate_operator.replay; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(replay.__file__).parents[1])},
    )
    assert "headgate_operator" in done.stdout
    assert not {"kopf", "kubernetes", "aiohttp", "yaml"} & set(done.stdout.split())


def test_the_page_names_every_field_of_a_policy_and_its_example_is_replayed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert all(f"`{name}`" in page for name in cases.TERMS)
    (example,) = re.findall(r"```json\n(.*?)```", page, flags=re.DOTALL)
    assert [line["verdict"] for line in lines(json.loads(example))] == ["wait", "wait"]


def test_the_pages_first_lines_are_what_is_printed() -> None:
    page = PAGE.read_text(encoding="utf-8")
    said = [json.dumps(line) for line in lines({"ticks": ticks(*[(100, 12, 900, 9)] * 3)})]
    shown = re.findall(r'^(\{"t".*?)(?: \.\.\.|, \.\.\.)$', page, flags=re.MULTILINE)
    assert len(shown) == 3
    for line, start in zip(said, shown, strict=True):
        assert line.startswith(start.removesuffix(', "reason":'))
