"""Pods as real processes on real sockets: what virtual time cannot show."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from echo_servers import ask
from headgate_local.addresses import Addresses, ReservedBlock
from headgate_local.images import Images
from headgate_local.kubelet.process_runtime import ProcessRuntime
from headgate_local.plane import Plane
from headgate_local.processes import marked
from plane_world import World, eventually, pod, service

PYTHON = sys.executable
# A line server on the pod's own address that ends politely: it closes its listener, answers once more and exits 0.
SERVER = """
import os, signal, socketserver, sys, threading
class Line(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            self.wfile.write(os.environ["NAME"].encode() + b" " + line)
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads = True, True
server = Server((os.environ["HEADGATE_HOST"], 8080), Line)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
print("listening", os.environ["NAME"], flush=True)
server.serve_forever()
print("ended", flush=True)
"""


@pytest.fixture
def block() -> Iterator[int]:
    reserved = ReservedBlock()
    yield reserved.block
    reserved.release()


@pytest.fixture
async def world(tmp_path: Path, block: int) -> AsyncIterator[World]:
    images = Images.parse([f"python={PYTHON}"])
    runtime: Any = ProcessRuntime(tmp_path, images)
    async with Plane(runtime=runtime, addresses=Addresses(block), proxy=True, backoff_base=0.2) as plane:
        yield World(plane, runtime)
    assert marked(tmp_path) == []


def python_pod(script: str, name: str = "web", *, spec: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    given = {"image": "python:3", "args": ["-c", script], "readinessProbe": None}
    return pod(name, spec=spec, **(given | fields))


def server_pod(name: str = "web", **fields: Any) -> dict[str, Any]:
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1}
    env = [{"name": "NAME", "value": name}]
    return python_pod(SERVER, name, env=env, readinessProbe=probe, **fields)


def phase(world: World, name: str = "web") -> str:
    return str(world.pod(name).get("status", {}).get("phase"))


async def log_of(world: World, name: str = "web", **query: str) -> str:
    chunks = [chunk async for chunk in world.plane.api.logs("default", name, query)]  # type: ignore[misc]
    return b"".join(chunks).decode()


def logs_of_first_attempts(world: World) -> list[str]:
    """Read from the files, which stay after the pod."""
    return [path.read_text() for path in Path(world.runtime._logs).rglob("0.log")]  # type: ignore[attr-defined]


async def test_a_service_reaches_the_process_and_its_end_is_graceful(world: World) -> None:
    world.client.create(service())
    world.client.create(server_pod())
    await eventually(lambda: any(e["conditions"]["ready"] for e in world.endpoints()), within=20)
    await eventually(lambda: world.plane.loop.idle, within=5, every=0.001)
    found = world.client.get("Service", "default", "web")
    assert found is not None
    host, _, port = found["metadata"]["annotations"]["local.headgate.dev/address"].partition(":")
    assert await ask((host, int(port))) == "web"
    assert await log_of(world) == "listening web\n"
    world.client.delete("Pod", "default", "web")
    await eventually(lambda: not world.pods(), within=20)
    assert logs_of_first_attempts(world) == ["listening web\nended\n"]


async def test_exit_code_reason_and_previous_log_are_kept(world: World) -> None:
    script = "import sys; print('attempt', flush=True); sys.exit(7)"
    world.client.create(python_pod(script))
    await eventually(lambda: world.container_status().get("restartCount", 0) >= 2, within=20)
    ended = world.container_status()["lastState"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (7, "Error")
    assert await log_of(world, previous="true") == "attempt\n"


async def test_a_killed_process_shows_the_signal(world: World) -> None:
    world.client.create(python_pod("import os; os.kill(os.getpid(), 9)", spec={"restartPolicy": "Never"}))
    await eventually(lambda: phase(world) == "Failed", within=20)
    ended = world.container_status()["state"]["terminated"]
    assert (ended["exitCode"], ended["signal"]) == (137, 9)


async def test_a_command_that_does_not_exist_is_a_start_error(world: World) -> None:
    world.client.create(python_pod("", command=["no-such-program"], spec={"restartPolicy": "Never"}))
    await eventually(lambda: phase(world) == "Failed", within=20)
    ended = world.container_status()["state"]["terminated"]
    assert (ended["exitCode"], ended["reason"]) == (128, "StartError")
    assert "no-such-program" in ended["message"]


async def test_what_a_process_leaves_behind_ends_with_it(world: World, tmp_path: Path) -> None:
    script = f"import subprocess; subprocess.Popen([{PYTHON!r}, '-c', 'import time; time.sleep(600)'])"
    world.client.create(python_pod(script, spec={"restartPolicy": "Never"}))
    await eventually(lambda: phase(world) == "Succeeded", within=20)
    await eventually(lambda: not marked(tmp_path), within=5)


async def test_a_process_deaf_to_sigterm_is_killed_with_its_children(world: World, tmp_path: Path) -> None:
    script = (
        "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "subprocess.Popen([sys.executable, '-c', 'import signal, time; "
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)']); "
        "print('deaf', flush=True); time.sleep(600)"
    )
    world.client.create(python_pod(script, spec={"terminationGracePeriodSeconds": 1}))
    await eventually(lambda: phase(world) == "Running" and len(marked(tmp_path)) == 2, within=20)
    world.client.delete("Pod", "default", "web")
    await eventually(lambda: not world.pods() and not marked(tmp_path), within=20)


async def test_volumes_are_real_folders_and_follow_their_source(world: World) -> None:
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings", "namespace": "default"}}
    world.client.create({**data, "data": {"mode": "one"}})
    script = (
        "import os, pathlib, time\n"
        "path = pathlib.Path(os.environ['CONF'], 'mode')\n"
        "pathlib.Path(os.environ['WORK'], 'x').write_text('written')\n"
        "last = None\n"
        "while last != 'two':\n"
        "    if path.read_text() != last:\n"
        "        last = path.read_text(); print(last, flush=True)\n"
        "    time.sleep(0.02)\n"
    )
    volumes = [{"name": "conf", "configMap": {"name": "settings"}}, {"name": "work", "emptyDir": {}}]
    mounts = [{"name": "conf", "mountPath": "/etc/conf"}, {"name": "work", "mountPath": "/work"}]
    env = [{"name": "CONF", "value": "/etc/conf"}, {"name": "WORK", "value": "/work"}]
    spec = {"restartPolicy": "Never", "volumes": volumes}
    world.client.create(python_pod(script, spec=spec, env=env, volumeMounts=mounts))
    await eventually(lambda: phase(world) == "Running", within=20)
    world.client.patch_merge("ConfigMap", "default", "settings", {"data": {"mode": "two"}})
    await eventually(lambda: phase(world) == "Succeeded", within=20)
    assert (await log_of(world)).splitlines()[-1] == "two"


async def test_following_a_log_ends_with_the_container(world: World) -> None:
    world.client.create(python_pod("print('a', flush=True); print('b', flush=True)", spec={"restartPolicy": "Never"}))
    await eventually(lambda: phase(world) in ("Running", "Succeeded"), within=20)
    assert await log_of(world, follow="true") == "a\nb\n"


@pytest.mark.parametrize(("code", "ready"), [(0, True), (1, False)])
async def test_exec_probes_go_by_the_exit_code(world: World, code: int, ready: bool) -> None:
    probe = {"exec": {"command": ["sh", "-c", f"echo checked > $HOME/checked; exit {code}"]}, "periodSeconds": 1}
    world.client.create(python_pod("import time; time.sleep(600)", readinessProbe=probe))
    home = Path(world.runtime._pods) / "default_web" / "home" / "checked"  # type: ignore[attr-defined]
    await eventually(home.exists, within=20)
    if ready:
        await eventually(world.ready, within=10)
    else:
        await eventually(lambda: phase(world) == "Running", within=10)
        assert world.ready() == 0


async def test_http_probes_take_200_to_399_and_follow_redirects_on_the_host(world: World) -> None:
    script = """
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code = {"/ok": 204, "/moved": 302, "/away": 302, "/sick": 503}[self.path]
        if self.headers["x-probe"] != "yes":
            code = 400
        self.send_response(code)
        if self.path == "/moved":
            self.send_header("Location", "/sick")
        if self.path == "/away":
            self.send_header("Location", "http://127.0.0.1:1/")
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer((os.environ["HEADGATE_HOST"], 8080), Handler).serve_forever()
"""
    for path in ("ok", "moved", "away", "sick"):
        http = {"path": f"/{path}", "port": 8080, "httpHeaders": [{"name": "X-Probe", "value": "yes"}]}
        world.client.create(python_pod(script, path, readinessProbe={"httpGet": http, "periodSeconds": 1}))
    await eventually(lambda: {p["metadata"]["name"] for p in world.pods() if _ready(p)} == {"ok", "away"}, within=30)


async def test_a_liveness_probe_restarts_a_process_that_no_longer_listens(world: World) -> None:
    deaf = "server.serve_forever(); server.server_close(); threading.Event().wait()"
    script = SERVER.replace("server.serve_forever()", deaf)
    probe = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1, "initialDelaySeconds": 1}
    env = [{"name": "NAME", "value": "web"}]
    world.client.create(python_pod(script, env=env, livenessProbe=probe, spec={"terminationGracePeriodSeconds": 1}))
    await eventually(lambda: phase(world) == "Running", within=20)
    await eventually(lambda: world.container_status().get("restartCount") == 0 and world.ready(), within=20)
    # SIGTERM only closes this server's listener; the process itself stays.
    pid = int(world.container_status()["containerID"].removeprefix("process://").partition("-")[0])
    await eventually(lambda: logs_of_first_attempts(world) == ["listening web\n"], within=20)
    os.kill(pid, signal.SIGTERM)
    await eventually(lambda: world.container_status().get("restartCount") == 1, within=20)


def _ready(obj: dict[str, Any]) -> bool:
    conditions = obj.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
