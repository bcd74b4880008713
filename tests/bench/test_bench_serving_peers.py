"""Who is measured by `make bench-serving`, what each is sent, and how wrong answers and broken servers are told."""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest

import bare_echo
import serving_bench as bench
import serving_environments as environments
import serving_requests as requests
from serving_contenders import BY_NAME, CHOICES, CONTENDERS, OURS, Command, chosen
from serving_process import Server, ServerFailed

ROWS = [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]
ANSWERS: dict[str, tuple[str, Any]] = {
    "headgate": (
        requests.V2,
        {"outputs": [{"name": "label", "data": [0, 2]}, {"name": "probabilities", "data": [0.9, 0.1]}]},
    ),
    "mlserver": (requests.V2, {"outputs": [{"name": "predict", "shape": [2, 1], "data": [0, 2]}]}),
    "mlflow": (requests.INVOCATIONS, {"predictions": [0, 2]}),
    "headgate, mlflow": (requests.INVOCATIONS, {"predictions": {"label": [0, 2], "probabilities": [[1.0], [1.0]]}}),
    "by row": (requests.INVOCATIONS, {"predictions": [{"label": 0}, {"label": 2}]}),
    "bentoml": (requests.BENTO, [0, 2]),
}


@pytest.mark.parametrize("whose", ANSWERS)
def test_the_right_classes_are_found_in_every_answer(whose: str) -> None:
    protocol, document = ANSWERS[whose]

    requests.check(protocol, 200, json.dumps(document).encode(), [0, 2])


@pytest.mark.parametrize("whose", ANSWERS)
def test_a_wrong_class_is_refused_in_every_answer(whose: str) -> None:
    protocol, document = ANSWERS[whose]

    with pytest.raises(requests.WrongAnswer, match=r"predicted \[0, 2\], right is \[0, 1\]"):
        requests.check(protocol, 200, json.dumps(document).encode(), [0, 1])


@pytest.mark.parametrize("answer", [b"", b"{}", b'{"outputs": []}', b'{"outputs": [{"data": ["x"]}]}', b"7"])
def test_an_answer_without_classes_is_refused(answer: bytes) -> None:
    with pytest.raises(requests.WrongAnswer, match="no labels"):
        requests.check(requests.V2, 200, answer, [0])


def test_another_status_is_refused_with_what_was_said() -> None:
    with pytest.raises(requests.WrongAnswer, match="answered 503: loading"):
        requests.check(requests.V2, 503, b"loading", [0])


def test_every_protocol_is_sent_the_same_rows() -> None:
    tensor = json.loads(requests.body(requests.V2, ROWS))["inputs"][0]
    frame = json.loads(requests.body(requests.INVOCATIONS, ROWS))["dataframe_split"]

    assert tensor["data"] == [value for row in ROWS for value in row]
    assert tensor["shape"] == [2, 4]
    assert frame["data"] == ROWS
    assert len(frame["columns"]) == 4
    assert json.loads(requests.body(requests.BENTO, ROWS)) == {"rows": ROWS}


async def test_the_echo_reads_the_body_and_answers_json_of_the_length_that_is_asked_for() -> None:
    parts = [{"body": b"a", "more_body": True}, {"body": b"b"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return parts.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await bare_echo.app({"path": "/137"}, receive, send)

    assert parts == []
    assert sent[0]["status"] == 200
    requests.check_length(200, sent[1]["body"], 137)


def test_an_echo_of_another_length_is_refused() -> None:
    with pytest.raises(requests.WrongAnswer, match="wanted 200 with 8"):
        requests.check_length(200, b"{}", 8)


def test_each_server_is_compared_with_one_of_ours_that_comes_before_it() -> None:
    names = [contender.name for contender in CONTENDERS]
    for contender in CONTENDERS:
        if contender.peer == OURS:
            assert contender.against == ""
        else:
            assert BY_NAME[contender.against].peer == OURS
            assert BY_NAME[contender.against].protocol == contender.protocol or contender.peer == "bentoml"
            assert names.index(contender.against) < names.index(contender.name)


def test_only_one_peer_still_has_ours_beside_it() -> None:
    assert [contender.name for contender in chosen(["mlserver"])] == ["headgate-v2", "headgate-invocations", "mlserver"]
    assert chosen([]) == list(CONTENDERS)
    assert set(CHOICES) == {"echo", "kserve", "mlserver", "mlflow", "bentoml"}


def test_an_unknown_peer_and_a_run_of_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for wrong, told in ((["--only", "triton"], "mlserver"), (["--rounds", "0"], "at least 1")):
        with pytest.raises(SystemExit):
            bench.arguments(wrong)
        assert told in capsys.readouterr().err


def test_the_docs_get_whole_runs_only() -> None:
    assert bench.target(9, []) == bench.DOCS
    assert bench.target(8, []) == bench.WORK
    assert bench.target(9, ["kserve"]) == bench.WORK


def test_without_wrk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    assert "apt-get install wrk" in bench.missing()


def test_every_requirement_is_pinned_and_none_says_where_it_comes_from() -> None:
    for file in environments.REQUIREMENTS.glob("*.txt"):
        lines = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+", line) for line in lines), file


def test_a_model_is_loaded_by_the_versions_that_made_it() -> None:
    files = environments.REQUIREMENTS.glob("*.txt")
    pins = {file.stem: set(file.read_text(encoding="utf-8").splitlines()) for file in files}
    made_by = {pin for pin in pins["models"] if pin.partition("==")[0] in {"scikit-learn", "numpy", "joblib"}}

    assert len(made_by) == 3
    assert all(made_by <= found for found in pins.values())
    assert {contender.environment for contender in CONTENDERS} - {""} == set(pins) - {"models"}


def test_an_environment_is_made_anew_when_its_requirements_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")

    folder = environments.folder("kserve", "kserve==0.21.0", "3.11")

    assert folder.parent == Path("/cache/headgate/bench-serving")
    assert folder == environments.folder("kserve", "kserve==0.21.0", "3.11")
    assert folder != environments.folder("kserve", "kserve==0.21.1", "3.11")
    assert folder != environments.folder("kserve", "kserve==0.21.0", "3.12")


def server(code: str, tmp_path: Path) -> Server:
    return Server("one", Command([sys.executable, "-c", code]), tmp_path / "log.txt", tmp_path, 1, core=None)


def test_a_server_that_ends_while_it_starts_is_told_with_its_log(tmp_path: Path) -> None:
    broken = server("raise SystemExit('no such model')", tmp_path)

    with pytest.raises(ServerFailed, match=r"ended with 1 while starting: no such model"):
        broken.wait_ready("/ready", 1)
    with pytest.raises(ServerFailed, match="has ended with 1"):
        broken.resume()
    broken.end()


def test_ending_a_paused_server_ends_the_processes_that_it_started(tmp_path: Path) -> None:
    ready, child = tmp_path / "ready", "import time; time.sleep(600)"
    os.mkfifo(ready)
    code = f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {child!r}])\n"
    code += f"open({str(ready)!r}, 'w').write(str(c.pid)); c.wait()"
    parent = server(code, tmp_path)
    pid = int(ready.read_text(encoding="utf-8"))  # waits for the writer
    parent.pause()

    parent.end()

    assert state(pid) in {"", "Z"}


def state(pid: int) -> str:
    """Of a process: a letter, or nothing when there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return ""
