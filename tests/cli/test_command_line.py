"""The commands against the embedded control plane over HTTPS, with an operator that only answers commands."""

import asyncio
import getpass
import io
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from rich.console import Console

from conditions import until
from headgate_cli import __version__, watching
from headgate_cli.entry import cli
from headgate_cli.kube import Cluster, ClusterError
from headgate_cli.verbs import VERBS
from https_plane import HttpsPlane, https_plane, model_deployment

Obj = dict[str, Any]
DEFAULT_LOCATION = "kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
CONDITIONS = [
    {
        "type": "Ready",
        "status": "True",
        "reason": "AsWanted",
        "message": "version 3 serves",
        "lastTransitionTime": "2026-11-21T10:00:00Z",
        "observedGeneration": 1,
    }
]


@pytest.fixture(autouse=True)
def no_cluster_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setattr(DEFAULT_LOCATION, str(tmp_path / "none"))


async def run(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, cli, list(arguments))


@asynccontextmanager
async def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[HttpsPlane]:
    async with https_plane(tmp_path / "plane", **options) as on:
        # The client reads KUBECONFIG when it is imported.
        monkeypatch.setattr(DEFAULT_LOCATION, str(on.kubeconfig))
        yield on


@pytest.fixture
async def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[HttpsPlane]:
    async with cluster(tmp_path, monkeypatch) as plane:
        plane.client.create(model_deployment("iris"))
        set_status(plane, "iris", conditions=CONDITIONS, observedGeneration=1, serving="3", ready="1/1")
        yield plane


def set_status(on: HttpsPlane, name: str, **status: Any) -> None:
    on.client.patch_merge("ModelDeployment", "default", name, {"status": status}, subresource="status")


async def answer(on: HttpsPlane, outcome: str, message: str) -> Obj:
    """What the operator does about the next command."""

    def annotation() -> str | None:
        obj = on.client.get("ModelDeployment", "default", "iris")
        return (obj or {})["metadata"].get("annotations", {}).get("headgate.dev/command")

    await until(lambda: annotation() is not None, "a command is given")
    command: Obj = json.loads(annotation() or "")
    told = {"id": command["id"], "verb": command["verb"], "outcome": outcome, "message": message}
    set_status(on, "iris", lastCommand=told)
    return command


async def test_status_lists_the_deployments_of_the_namespace(on: HttpsPlane) -> None:
    result = await run("status")
    assert result.exit_code == 0
    header, line = result.output.splitlines()
    assert header.split() == ["NAME", "MODEL", "WANTED", "SERVING", "READY", "STATUS", "AGE"]
    assert line.split()[:6] == ["iris", "iris", "-", "3", "1/1", "AsWanted"]
    assert (await run("status", "-n", "empty")).output == "No ModelDeployments in namespace empty.\n"
    assert (await run("status", "-A")).output.splitlines()[1].startswith("default")


async def test_status_of_one_shows_it_in_detail(on: HttpsPlane) -> None:
    result = await run("status", "iris")
    assert result.exit_code == 0
    assert "status  AsWanted: version 3 serves" in result.output


@pytest.mark.parametrize(("output", "parse"), [("json", json.loads), ("yaml", yaml.safe_load)])
async def test_objects_are_printed_for_programs(on: HttpsPlane, output: str, parse: Any) -> None:
    one = parse((await run("status", "iris", "-o", output)).output)
    assert one["metadata"]["name"] == "iris"
    several = parse((await run("status", "-o", output)).output)
    assert [o["metadata"]["name"] for o in several["items"]] == ["iris"]
    assert parse((await run("history", "iris", "-o", output)).output) == []


async def test_history_is_told_newest_first(on: HttpsPlane) -> None:
    assert (await run("history", "iris")).output == "iris has not been rolled out yet.\n"
    entries = [
        {
            "rollout": n,
            "to": str(n),
            "toRevision": f"{n:010x}",
            "outcome": "Promoted",
            "seconds": n,
            "at": f"2026-11-21T10:0{n}:00Z",
        }
        for n in (1, 2)
    ]
    set_status(on, "iris", history=entries)
    lines = (await run("history", "iris")).output.splitlines()
    assert [line.split()[0] for line in lines] == ["ROLLOUT", "2", "1"]


async def test_why_explains_and_tells_programs_the_same(on: HttpsPlane) -> None:
    result = await run("why", "iris")
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        "iris (namespace default): nothing has been rolled out yet.",
        "",
        "now",
        "  AsWanted: version 3 serves",
        "",
        "what to do",
        "  Nothing needs to be done.",
    ]
    assert json.loads((await run("why", "iris", "-o", "json")).output)["next"] == ["Nothing needs to be done."]


@pytest.mark.parametrize("verb", [command.name for command in VERBS])
async def test_an_accepted_command_is_told_and_how_to_follow_it(on: HttpsPlane, verb: str) -> None:
    answering = asyncio.ensure_future(answer(on, "Accepted", "back to version 2"))
    result = await run(verb, "iris")
    assert result.exit_code == 0
    assert result.output.startswith(f"{verb} iris: accepted. back to version 2.\n")
    command = await answering
    assert (command["verb"], command["by"], command["rollout"], command["stable"]) == (verb, getpass.getuser(), 0, "")


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        (["undo", "iris", "--to", "3"], {"to": "3"}),
        (["restart", "iris", "--update-image"], {"updateImage": True}),
        (["restart", "iris"], {}),
        (["promote", "iris", "--full"], {"full": True}),
    ],
)
async def test_options_become_arguments_of_the_command(on: HttpsPlane, arguments: list[str], args: Obj) -> None:
    answering = asyncio.ensure_future(answer(on, "Accepted", ""))
    assert (await run(*arguments)).exit_code == 0
    assert (await answering)["args"] == args


async def test_a_refused_command_fails_with_the_operators_words(on: HttpsPlane) -> None:
    answering = asyncio.ensure_future(answer(on, "Refused", "there is nothing to undo"))
    result = await run("undo", "iris")
    await answering
    assert result.exit_code == 1
    assert result.output == "Error: undo was refused: there is nothing to undo\n"


async def test_a_command_without_an_operator_fails_after_its_timeout(on: HttpsPlane) -> None:
    result = await run("undo", "iris", "--timeout", "0.5s")
    assert result.exit_code == 1
    assert "is the operator running?" in result.output


async def test_a_mistyped_name_is_answered_with_near_ones(on: HttpsPlane) -> None:
    for arguments in (["status", "irsi"], ["undo", "irsi"], ["history", "irsi"]):
        result = await run(*arguments)
        assert result.exit_code == 1
        assert "Did you mean iris?" in result.output
    assert "There are: iris" in (await run("status", "zzz")).output
    on.client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ml"}})
    on.client.create(model_deployment("rose", "ml"))
    assert "There is one in namespace ml: -n ml" in (await run("status", "rose")).output


async def test_a_cluster_without_the_crd_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with cluster(tmp_path, monkeypatch, crd=False):
        for arguments in (["status"], ["status", "iris"], ["undo", "iris"]):
            result = await run(*arguments)
            assert result.exit_code == 1
            assert "install the CRD" in result.output


def test_no_kubeconfig_is_told_plainly() -> None:
    result = CliRunner().invoke(cli, ["status"])
    assert result.exit_code == 1
    assert "no usable kubeconfig" in result.output
    assert "headgate local up" in result.output


def test_an_unreachable_cluster_is_told_plainly(tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
    }
    file = tmp_path / "config"
    file.write_text(yaml.safe_dump(config))
    result = CliRunner().invoke(cli, ["status", "--kubeconfig", str(file)])
    assert result.exit_code == 1
    assert "the cluster at http://127.0.0.1:1 cannot be reached" in result.output


async def test_watching_shows_each_change_once_and_ends_quietly(
    on: HttpsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = await watched(on, monkeypatch)
    assert shown.count("NAME") == 2
    assert shown.count("3 -> 4") == 1


async def watched(on: HttpsPlane, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> str:
    """Six looks; `serving` changes after the third."""
    looks = 0

    def pause(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            set_status(on, "iris", serving="3 -> 4")
        if looks == 6:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", pause)
    result = await run("status", *arguments, "--watch")
    assert result.exit_code == 0
    return result.output


async def test_watching_one_without_a_terminal_appends_a_line_for_each_change(
    on: HttpsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (await watched(on, monkeypatch, "iris")).splitlines()
    assert [line.partition("  ")[2] for line in lines] == [
        "3 serves, 1/1 ready; AsWanted: version 3 serves",
        "3 -> 4 serves, 1/1 ready; AsWanted: version 3 serves",
    ]


async def test_watching_for_programs_prints_each_object_once(on: HttpsPlane, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (await watched(on, monkeypatch, "iris", "-o", "json")).splitlines()
    assert [json.loads(line)["status"]["serving"] for line in lines] == ["3", "3 -> 4"]
    set_status(on, "iris", serving="3")
    text = await watched(on, monkeypatch, "-o", "yaml")
    assert [one["items"][0]["status"]["serving"] for one in yaml.safe_load_all(text)] == ["3", "3 -> 4"]


def test_on_a_terminal_the_picture_is_drawn_when_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = io.StringIO()
    monkeypatch.setattr(
        watching, "console", lambda: Console(file=drawn, force_terminal=True, theme=watching.THEME, width=80)
    )
    last = "no worse  ████ " + "reasons " * 12 + "to the end"
    looks = iter([["worse  ███"], ["worse  ███"], [last]])
    ended = 0

    def pause(seconds: float) -> None:
        nonlocal ended
        ended += 1
        if ended == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(watching.time, "sleep", pause)
    watching.watch(lambda: next(looks), lambda: "never a line")
    assert drawn.getvalue().count("no worse") >= 1
    assert "to the end" in drawn.getvalue(), "what is too long for a line goes on in the next"
    assert "never a line" not in drawn.getvalue()


async def test_watching_outlasts_a_cluster_that_is_away_for_a_while(
    on: HttpsPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    items = Cluster.items

    def flaky(self: Cluster, *arguments: Any) -> list[Obj]:
        if looks == 1:
            raise ClusterError("the cluster at x cannot be reached")
        return items(self, *arguments)

    def pause(seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(Cluster, "items", flaky)
    monkeypatch.setattr(watching.time, "sleep", pause)
    result = await run("status", "--watch")
    assert result.exit_code == 0
    assert result.output.count("(the cluster at x cannot be reached)") == 1
    assert result.output.count("NAME") == 2


@pytest.mark.parametrize(
    "arguments",
    [["status", "iris", "-A"], ["undo"], ["undo", "x", "--timeout", "soon"]],
)
def test_what_cannot_be_meant_is_a_usage_error(arguments: list[str]) -> None:
    assert CliRunner().invoke(cli, arguments).exit_code == 2


def test_the_version_is_told() -> None:
    assert CliRunner().invoke(cli, ["--version"]).output == f"headgate, version {__version__}\n"


def test_local_passes_everything_on(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Done:
        returncode = 3

    def start(command: list[str], *, check: bool) -> Done:
        started.append(command)
        return Done()

    monkeypatch.setattr("headgate_cli.entry.subprocess.run", start)
    result = CliRunner().invoke(cli, ["local", "up", "--port", "0", "--help", "-x"])
    assert result.exit_code == 3
    assert started == [[sys.executable, "-m", "headgate_local", "up", "--port", "0", "--help", "-x"]]


def test_a_demo_without_its_requirements_says_which_extra_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "headgate_cli.demo.command", None)
    monkeypatch.setitem(sys.modules, "headgate_cli.demo", None)
    result = CliRunner().invoke(cli, ["demo"])
    assert result.exit_code == 1


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_explains_itself_with_examples(name: str) -> None:
    if name == "local":
        return  # another program, which explains itself
    help_text = CliRunner().invoke(cli, [name, "--help"]).output
    assert "Examples:" in help_text
    assert f"headgate {name}" in help_text
