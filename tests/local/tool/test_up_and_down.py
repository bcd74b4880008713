"""`headgate local` as a user runs it: what it says, what it leaves (nothing), and what it does in bad weather."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from headgate_local.processes import MARKER, identify, marked, wait_gone
from headgate_local.state_folder import StateFolder

# Every process of a pod has a child of its own, so that "ends everything" means more than the direct ones.
SLEEPER = f'{sys.executable} -c \'import subprocess, time; subprocess.Popen(["sleep", "900"]); time.sleep(900)\''
POD = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleeper, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: sleeper}}
  template:
    metadata: {labels: {app: sleeper}}
    spec: {containers: [{name: c, image: sleeper}]}
---
apiVersion: v1
kind: Service
metadata: {name: sleeper, namespace: default}
spec: {selector: {app: sleeper}, ports: [{port: 80, targetPort: 8080}]}
"""


class Tool:
    def __init__(self, state: Path) -> None:
        self.state = StateFolder.at(state)

    def __call__(self, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "headgate_local", verb, "--state", str(self.state.path), *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        command = [str(Path(sys.executable).with_name("kubectl")), f"--kubeconfig={self.state.kubeconfig}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, input=given)
        return done.stdout

    def start_pods(self) -> None:
        self.kubectl("apply", "-f", "-", given=POD)
        self.kubectl("rollout", "status", "deployment/sleeper", "--timeout=50s")

    def processes(self) -> int:
        return len(marked(self.state.path))


@pytest.fixture
def tool(tmp_path: Path) -> Iterator[Tool]:
    tool = Tool(tmp_path / "plane")
    yield tool
    tool("down")


def test_up_runs_pods_and_down_leaves_no_process(tool: Tool) -> None:
    up = tool("up", "--image", f"sleeper={SLEEPER}")
    assert up.returncode == 0, up.stderr
    assert "API server  https://127.0.0.1:" in up.stdout
    assert "installed   modeldeployments.headgate.dev" in up.stdout
    assert f"export KUBECONFIG={tool.state.kubeconfig}" in up.stdout
    assert tool("kubeconfig").stdout.strip() == str(tool.state.kubeconfig)
    tool.start_pods()
    assert tool.processes() == 4
    status = tool("status")
    assert status.returncode == 0
    assert status.stdout.count("Running") == 2
    assert ":8080" in status.stdout
    again = tool("up")
    assert again.returncode == 0
    assert "already up" in again.stdout
    plane = tool.state.plane()
    down = tool("down")
    assert down.returncode == 0
    assert "has ended" in down.stdout
    assert plane is not None
    assert identify(plane.pid) != plane
    assert tool.processes() == 0
    assert not tool.state.kubeconfig.exists()
    assert tool("status").returncode == 1
    assert tool("kubeconfig").returncode == 1
    assert "Nothing is running" in tool("down").stdout


def test_down_after_a_kill_of_the_plane_ends_what_is_left(tool: Tool) -> None:
    assert tool("up", "--no-crds", "--image", f"sleeper={SLEEPER}").returncode == 0
    assert "modeldeployments" not in tool.kubectl("api-resources")
    tool.start_pods()
    plane = tool.state.plane()
    assert plane is not None
    os.kill(plane.pid, signal.SIGKILL)
    assert wait_gone([plane], 10) == []
    # The kernel ends the pods' first processes with the plane; their own children are still there.
    assert tool.processes() >= 2
    assert "`down` ends them" in tool("status").stderr
    assert tool("down").returncode == 0
    assert tool.processes() == 0


def test_up_after_a_kill_starts_afresh(tool: Tool) -> None:
    assert tool("up", "--image", f"sleeper={SLEEPER}").returncode == 0
    tool.start_pods()
    plane = tool.state.plane()
    assert plane is not None
    os.kill(plane.pid, signal.SIGKILL)
    assert wait_gone([plane], 10) == []
    assert tool("up").returncode == 0
    assert tool.processes() == 0
    assert tool.kubectl("get", "pods", "--no-headers") == ""


def test_a_taken_port_is_said_with_what_to_do(tool: Tool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        up = tool("up", "--port", str(taken.getsockname()[1]))
    assert up.returncode == 1
    assert "choose another with --port" in up.stderr
    assert tool.state.plane() is None


def test_a_wrong_image_argument_is_said_before_anything_starts(tool: Tool) -> None:
    up = tool("up", "--image", "sleeper")
    assert up.returncode == 1
    assert "NAME=COMMAND" in up.stderr
    assert not tool.state.path.exists()


def test_a_state_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    up = Tool(tmp_path / "file" / "plane")("up")
    assert up.returncode == 1
    assert "choose another with --state" in up.stderr


def test_a_recycled_pid_is_not_the_plane(tool: Tool) -> None:
    innocent = subprocess.Popen(["sleep", "900"])
    try:
        tool.state.path.mkdir(parents=True)
        tool.state.pid_file.write_text(f"{innocent.pid} 1\n")
        assert "Nothing is running" in tool("down").stdout
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_a_demo_beside_the_plane_ends_with_down_but_not_with_up(tool: Tool) -> None:
    """A process that only carries the folder's mark (a demo's registry) may be started before the plane."""
    tool.state.path.mkdir(parents=True)
    beside = subprocess.Popen(["sleep", "900"], env={**os.environ, MARKER: str(tool.state.path)})
    try:
        assert tool("up").returncode == 0
        assert beside.poll() is None
        assert tool("down").returncode == 0
        assert beside.wait(timeout=5) != 0
    finally:
        beside.kill()
        beside.wait()


def test_two_planes_run_side_by_side(tool: Tool, tmp_path: Path) -> None:
    other = Tool(tmp_path / "other")
    try:
        for plane in (tool, other):
            assert plane("up", "--image", f"sleeper={SLEEPER}").returncode == 0
            plane.start_pods()
        addresses = {
            plane.kubectl("get", "service", "sleeper", "-o", "jsonpath={.spec.clusterIP}") for plane in (tool, other)
        }
        assert len(addresses) == 2
        assert other("down").returncode == 0
        assert tool.processes() == 4
        assert tool("status").stdout.count("Running") == 2
    finally:
        other("down")
