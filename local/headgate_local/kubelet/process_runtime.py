"""Containers as local processes: folder, environment, log file, session and end of each.

A process is no container: it sees the machine's files and its loopback network. For a laptop, on Linux.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from headgate_local.images import Images
from headgate_local.kubelet.asking import ask_http, ask_tcp
from headgate_local.kubelet.child import Child
from headgate_local.kubelet.environment import with_real_paths
from headgate_local.kubelet.log_files import log_path, read_log
from headgate_local.kubelet.runtime import (
    Check,
    Exec,
    Exit,
    HttpGet,
    ImageUnavailableError,
    Launch,
    LogOptions,
    LogsUnavailableError,
    PodRef,
    ProbeOutcome,
    StartFailedError,
)
from headgate_local.processes import MARKER, POD_MARKER, write_pid_file

_CLOSING_GRACE = 2.0


@dataclass
class _Running:
    child: Child
    launch: Launch
    env: dict[str, str]
    folder: Path


class ProcessRuntime:
    def __init__(self, state: Path, images: Images) -> None:
        self._pods, self._logs, self._images = state / "pods", state / "logs", images
        self._marker = str(state)
        self._running: dict[str, _Running] = {}
        self._ended: Callable[[str, Exit], None] = lambda _id, _exit: None

    def on_exit(self, callback: Callable[[str, Exit], None]) -> None:
        self._ended = callback

    def pull(self, image: str) -> None:
        if self._images.command(image) is None:
            raise ImageUnavailableError(
                f'no command is known for image "{image}"; start the plane with --image {image or "NAME"}=COMMAND'
            )

    def materialise(self, pod: PodRef, volumes: Mapping[str, Mapping[str, bytes] | None]) -> Mapping[str, str]:
        real = {}
        for name, files in volumes.items():
            folder = self._folder(pod) / "volumes" / name
            folder.mkdir(parents=True, exist_ok=True)
            if files is not None:
                _write_files(folder, files)
            real[name] = str(folder)
        return real

    def start(self, launch: Launch) -> str:
        folder = self._folder(launch.pod)
        home = folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        env = self._environment(launch, home)
        argv = self._argv(launch, env)
        log = log_path(self._logs, launch.pod, launch.container, launch.attempt)
        log.parent.mkdir(parents=True, exist_ok=True)
        working_dir = Path(launch.working_dir) if launch.working_dir else home
        try:
            with log.open("wb") as output:
                child = Child(argv, env=env, cwd=working_dir, output=output, ended=lambda end: self._over(key, end))
        except OSError as error:
            raise StartFailedError(f"cannot start {argv[0]}: {error}") from error
        key = f"process://{child.pid}-{launch.pod.uid[:8]}-{launch.attempt}"
        write_pid_file(folder / f"{launch.container}.pid", child.pid)
        self._running[key] = _Running(child, launch, env, home)
        return key

    def signal(self, container_id: str, *, kill: bool) -> None:
        running = self._running.get(container_id)
        if running:
            running.child.signal(signal.SIGKILL if kill else signal.SIGTERM)

    async def probe(self, container_id: str, check: Check, timeout: float) -> ProbeOutcome:
        running = self._running.get(container_id)
        if running is None:
            return ProbeOutcome(success=False, message="container is not running")
        try:
            async with asyncio.timeout(timeout):
                if isinstance(check, HttpGet):
                    return await ask_http(check)
                if isinstance(check, Exec):
                    return await self._exec(running, check)
                return await ask_tcp(check)
        except TimeoutError:
            return ProbeOutcome(success=False, message=f"no answer within {timeout:g}s")
        except (OSError, ValueError) as error:
            return ProbeOutcome(success=False, message=str(error))

    def logs(self, pod: PodRef, container: str, attempt: int, options: LogOptions) -> AsyncIterator[bytes]:
        path = log_path(self._logs, pod, container, attempt)
        if not path.exists():
            raise LogsUnavailableError(f"no log of attempt {attempt} of container {container}")

        def is_running() -> bool:
            return any(
                r.launch.pod == pod and r.launch.container == container and r.launch.attempt == attempt
                for r in self._running.values()
            )

        return read_log(path, options, is_running)

    def remove(self, pod: PodRef) -> None:
        shutil.rmtree(self._folder(pod), ignore_errors=True)

    async def close(self) -> None:
        children = [running.child for running in self._running.values()]
        for number, patience in ((signal.SIGTERM, _CLOSING_GRACE), (signal.SIGKILL, _CLOSING_GRACE)):
            for child in children:
                child.signal(number)
            if children:
                await asyncio.wait([asyncio.create_task(child.wait()) for child in children], timeout=patience)

    def _over(self, key: str, end: Exit) -> None:
        running = self._running.pop(key)
        (self._folder(running.launch.pod) / f"{running.launch.container}.pid").unlink(missing_ok=True)
        self._ended(key, end)

    def _folder(self, pod: PodRef) -> Path:
        return self._pods / f"{pod.namespace}_{pod.name}"

    def _environment(self, launch: Launch, home: Path) -> dict[str, str]:
        tmp = Path((launch.mounts or {}).get("/tmp", str(home / "tmp")))  # noqa: S108 - a mountPath, not our folder
        tmp.mkdir(parents=True, exist_ok=True)
        python = str(Path(sys.executable).parent)
        return {
            "HOME": str(home),
            "TMPDIR": str(tmp),
            "PATH": os.pathsep.join([python, os.environ.get("PATH", os.defpath)]),
            "LANG": os.environ.get("LANG", "C.UTF-8"),
            "PYTHONUNBUFFERED": "1",
            "HOSTNAME": launch.pod.name,
            **launch.env,
            MARKER: self._marker,
            POD_MARKER: f"{launch.pod.namespace}/{launch.pod.name}",
        }

    def _argv(self, launch: Launch, env: Mapping[str, str]) -> list[str]:
        entry = launch.command or self._images.command(launch.image) or ()
        argv = [*entry, *launch.args]
        found = shutil.which(argv[0], path=env["PATH"]) if argv else None
        if found is None:
            raise StartFailedError(f'exec: "{argv[0] if argv else ""}": executable file not found in PATH')
        return [found, *argv[1:]]

    async def _exec(self, running: _Running, check: Exec) -> ProbeOutcome:
        mounts = running.launch.mounts or {}
        argv = [with_real_paths(word, mounts) for word in check.command]
        exits: list[Exit] = []
        output = running.folder / f".{running.launch.container}-probe"
        with output.open("wb") as file:
            child = Child(argv, env=running.env, cwd=running.folder, output=file, ended=exits.append)
        try:
            await child.wait()
        finally:
            # Also on a timeout: a check that hangs must not outlive its probe.
            child.signal(signal.SIGKILL)
            await child.wait()
        said = output.read_bytes()[-200:].decode(errors="replace").strip()
        return ProbeOutcome(success=exits[0].code == 0, message=said or f"exit code {exits[0].code}")


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        # Written beside and moved: a process that reads while a Secret changes sees the old file or the new one.
        beside = target.with_name(f".{target.name}.new")
        beside.touch(mode=0o600)
        beside.write_bytes(data)
        beside.replace(target)
    wanted = {folder / path for path in files}
    for present in [p for p in folder.rglob("*") if p.is_file() and p not in wanted]:
        present.unlink()
