"""`headgate local up | down | status | kubeconfig`: the plane as a background process on a laptop."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from headgate_local.images import ImageArgumentError, Images
from headgate_local.processes import ProcessId, send, wait_gone
from headgate_local.state_folder import ENVIRONMENT, StateFolder, default_state
from headgate_local.status_report import PlaneUnreachableError, report

READY_WITHIN = 30.0
_POLITE = 6.0
_FORCED = 3.0
_LINE_OF_FAILURE = "failed: "


class ToolError(Exception):
    """Something the user can mend; the message says how."""


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    state = StateFolder.at(options.state or default_state())
    try:
        match options.verb:
            case "up":
                return up(state, options)
            case "down":
                return down(state)
            case "kubeconfig":
                return kubeconfig(state)
            case _:
                return status(state)
    except ToolError as error:
        print(f"headgate local {options.verb}: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="headgate local",
        description="A laptop-size Kubernetes for trying Headgate: a real API, pods as local processes. Linux only. "
        "Nothing outlives `down`: objects are kept in memory.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="up|down|status|kubeconfig")
    for verb, meaning in (
        ("up", "start it in the background and wait until it is ready"),
        ("down", "end it and every process of its pods"),
        ("status", "say where it is and what runs"),
        ("kubeconfig", "print the path of its kubeconfig, for KUBECONFIG=$(...)"),
    ):
        sub = verbs.add_parser(verb, help=meaning, description=meaning)
        sub.add_argument("--state", type=Path, metavar="DIR", help=f"its folder (env {ENVIRONMENT}; {default_state()})")
        if verb == "up":
            _add_up_options(sub)
    return parser


def _add_up_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, metavar="N", help="port of the API (default: 16443, or a free one)")
    parser.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="run COMMAND for containers of image NAME (repeatable); headgate-server is known",
    )
    parser.add_argument("--no-crds", action="store_true", help="do not install the ModelDeployment definition")
    parser.add_argument(
        "--crash-backoff",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="first back-off of a crashing container, doubling to 5 minutes (default: 10, as a kubelet)",
    )


def up(state: StateFolder, options: argparse.Namespace) -> int:
    _check_machine()
    try:
        Images.parse(options.image)
    except ImageArgumentError as error:
        raise ToolError(str(error)) from error
    if state.plane():
        _say(f"The plane is already up (state {state.path}).", *_next_steps(state))
        return 0
    _end(state.others(pods_only=True), "left by an earlier plane")
    try:
        state.prepare()
    except OSError as error:
        raise ToolError(f"cannot write the state folder {state.path}: {error}; choose another with --state") from error
    _launch(state, options)
    _say(*_next_steps(state))
    return 0


def down(state: StateFolder) -> int:
    plane = state.plane()
    if plane:
        send(plane, signal.SIGTERM)
        if wait_gone([plane], _POLITE):
            send(plane, signal.SIGKILL)
            wait_gone([plane], _FORCED)
    others = _end(state.others(), "of its pods")
    state.pid_file.unlink(missing_ok=True)
    state.kubeconfig.unlink(missing_ok=True)
    if plane is None and not others:
        _say(f"Nothing is running (state {state.path}).")
    else:
        _say("The plane is down, and every process of its pods has ended.")
    return 0


def status(state: StateFolder) -> int:
    if state.plane() is None:
        others = state.others()
        if others:
            pids = ", ".join(str(process.pid) for process in others)
            raise ToolError(f"the plane is gone but processes of it still run ({pids}); `down` ends them")
        _say(f"Not running (state {state.path}). Start it with: headgate local up")
        return 1
    try:
        _say(*report(state))
    except PlaneUnreachableError as error:
        raise ToolError(f"the plane runs but does not answer: {error}; see {state.log}") from error
    return 0


def kubeconfig(state: StateFolder) -> int:
    if state.plane() is None:
        raise ToolError(f"not running (state {state.path}); start it with: headgate local up")
    _say(str(state.kubeconfig))
    return 0


def _check_machine() -> None:
    if sys.platform != "linux":
        raise ToolError(
            "the local plane runs on Linux only: it gives every pod an address of 127.0.0.0/8, which other systems "
            "do not have. Use a Linux machine or VM, or a real cluster"
        )


def _launch(state: StateFolder, options: argparse.Namespace) -> None:
    command = [sys.executable, "-m", "headgate_local.daemon", "--state", str(state.path)]
    command += ["--crash-backoff", str(options.crash_backoff)]
    command += ["--port", str(options.port)] if options.port is not None else []
    command += ["--no-crds"] if options.no_crds else []
    for image in options.image:
        command += ["--image", image]
    with state.log.open("ab") as log:
        daemon = subprocess.Popen(  # noqa: S603 - our own program
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    _follow(state, daemon)
    # It lives on without us; nobody will wait for it, and that is no mistake.
    daemon.returncode = 0


def _follow(state: StateFolder, daemon: subprocess.Popen[bytes]) -> None:
    """Show the daemon's progress until it says that it is ready, or why not."""
    shown = 0
    deadline = time.monotonic() + READY_WITHIN
    while True:
        ended = daemon.poll() is not None
        lines = state.progress.read_text().splitlines() if state.progress.exists() else []
        for line in lines[shown:]:
            if line == "ready":
                return
            if line.startswith(_LINE_OF_FAILURE):
                daemon.wait()
                raise ToolError(line.removeprefix(_LINE_OF_FAILURE))
            _say(f"  {line}")
        shown = len(lines)
        if ended:
            raise ToolError(f"the plane ended while starting; the cause is at the end of {state.log}")
        if time.monotonic() > deadline:
            daemon.kill()
            daemon.wait()
            raise ToolError(f"the plane was not ready within {READY_WITHIN:g} s; see {state.log}")
        time.sleep(0.02)


def _end(processes: list[ProcessId], what: str) -> list[ProcessId]:
    """Ask, then insist; returns what had to be ended."""
    if not processes:
        return []
    _say(f"Ending {len(processes)} process{'es' if len(processes) > 1 else ''} {what} ...")
    for number, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, _FORCED)):
        for process in processes:
            send(process, number)
        left = wait_gone(processes, patience)
        if not left:
            return processes
    raise ToolError(f"these processes do not end: {', '.join(str(process.pid) for process in left)}")


def _next_steps(state: StateFolder) -> list[str]:
    folder = "" if state.path == StateFolder.at(default_state()).path else f" --state {state.path}"
    return [
        "",
        "To use it:",
        f"  export KUBECONFIG={state.kubeconfig}",
        "  kubectl get pods,services -A",
        f"  headgate local status{folder}",
        f"  headgate local down{folder}      # ends everything; objects are in memory only",
    ]


def _say(*lines: str) -> None:
    print("\n".join(lines), flush=True)  # noqa: T201 - the terminal is this module's purpose
