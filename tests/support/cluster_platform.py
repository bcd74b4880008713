"""What differs between the clusters that the end-to-end tests run on: our own testbed, and kind.

Everything else goes through the Kubernetes API and is the same on both. A cluster is told by its kubeconfig: kind names
its contexts `kind-<cluster>`.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

ROOT = Path(__file__).parents[2]
TESTBED = ROOT / "tests" / "cluster" / "testbed" / "testbed"
# Where k8s/kind.yaml lets the API server of a kind cluster write what service accounts asked for.
KIND_AUDIT_LOG = "/var/log/headgate/audit.log"
BUILD_SECONDS = 900.0
MANIFESTS, ASIDE = "/etc/kubernetes/manifests", "/etc/kubernetes"
STATIC_PODS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler")
COMPONENT_SECONDS = 90.0


class Platform(Protocol):
    """A running cluster that tests may disturb. Of several nodes, `node` tells whose kubelet is meant."""

    kubeconfig: Path

    def machine_address(self) -> str:
        """This machine, as pods see it."""

    def node_address(self) -> str:
        """A node, as this machine sees it: NodePorts answer there."""

    def images(self) -> set[str]:
        """Names of the images that the nodes have."""

    def build_image(self, name: str, dockerfile: Path, *more: str) -> None:
        """Build an image and load it into the nodes."""

    def load_archive(self, archive: Path) -> None:
        """Load an image archive into the nodes."""

    def stop(self, component: str, node: str) -> None:
        """End one of etcd, kube-apiserver, kube-controller-manager, kube-scheduler, kubelet."""

    def start(self, component: str, node: str) -> None:
        """Start it again and wait until it runs."""

    def restart(self, component: str, node: str) -> None:
        """Also of kube-proxy."""

    def audit(self) -> Iterator[str]:
        """The lines of the API server's audit log."""

    def on_node(self, node: str, *command: str) -> list[str]:
        """The command line that runs a command inside a node, with its input and output."""

    def kubectl(self) -> list[str]:
        """The beginning of a kubectl command line as cluster admin."""

    def helm(self) -> list[str]:
        """The beginning of a helm command line as cluster admin."""


def run(*command: str, timeout: float = 120.0, given: str | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, input=given)
    assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def container_of(pod: Mapping[str, Any], container: int = 0) -> str:
    """The id of a pod's container, as containerd knows it."""
    return str(pod["status"]["containerStatuses"][container]["containerID"]).removeprefix("containerd://")


def first_process(platform: Platform, pod: Mapping[str, Any], container: int = 0) -> str:
    """The pid of a container's first process, as its node counts."""
    tasks = run(*platform.on_node(pod["spec"]["nodeName"], "ctr", "--namespace", "k8s.io", "task", "ls"))
    return next(line.split()[1] for line in tasks.splitlines() if line.startswith(container_of(pod, container)))


class Trigger:
    """SIGKILL to the first process of a pod's container, made ready so that it strikes within milliseconds."""

    def __init__(self, platform: Platform, pod: Mapping[str, Any], container: int = 0) -> None:
        number = first_process(platform, pod, container)
        waiting = platform.on_node(pod["spec"]["nodeName"], "sh", "-c", f"read go && kill -9 {number}")
        self._process = subprocess.Popen(waiting, stdin=subprocess.PIPE)

    def fire(self) -> None:
        self._process.communicate(b"go\n", timeout=30)
        assert self._process.returncode == 0, "the process was not there to be killed"

    def spare(self) -> None:
        """Let it live: without a line to read the waiting shell ends."""
        self._process.communicate(timeout=30)


class TestbedPlatform:
    """The cluster of tests/cluster/testbed."""

    __test__ = False  # not a test class, whatever its name

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    def machine_address(self) -> str:
        return run(str(TESTBED), "address", "host").strip()

    def node_address(self) -> str:
        return run(str(TESTBED), "address", "node").strip()

    def images(self) -> set[str]:
        return set(run(str(TESTBED), "images", "list").split())

    def build_image(self, name: str, dockerfile: Path, *more: str) -> None:
        command = ("images", "build", name, str(ROOT), "-f", str(dockerfile), *more)
        run(str(TESTBED), *command, timeout=BUILD_SECONDS)

    def load_archive(self, archive: Path) -> None:
        run(str(TESTBED), "images", "load", str(archive), timeout=300)

    def stop(self, component: str, node: str) -> None:
        run(str(TESTBED), "stop", component)

    def start(self, component: str, node: str) -> None:
        run(str(TESTBED), "start", component)

    def restart(self, component: str, node: str) -> None:
        run(str(TESTBED), "restart", component)

    def audit(self) -> Iterator[str]:
        path = Path(run(str(TESTBED), "audit").strip())
        # A log that has grown is rotated; the older parts carry a date in their name.
        for part in [*sorted(path.parent.glob(f"{path.stem}-*{path.suffix}")), path]:
            with part.open(encoding="utf-8") as lines:
                yield from lines

    def on_node(self, node: str, *command: str) -> list[str]:
        return [str(TESTBED), "shell", *command]

    def kubectl(self) -> list[str]:
        return [str(TESTBED), "kubectl"]

    def helm(self) -> list[str]:
        return _helm(self.kubeconfig)


class KindPlatform:
    """A kind cluster, through the docker and kind commands. Its nodes are containers of the same name."""

    def __init__(self, kubeconfig: Path, cluster: str) -> None:
        self.kubeconfig = kubeconfig
        self._cluster = cluster
        self._control_plane = f"{cluster}-control-plane"

    def machine_address(self) -> str:
        return self._inspect("{{range .NetworkSettings.Networks}}{{.Gateway}}{{end}}")

    def node_address(self) -> str:
        return self._inspect("{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")

    def images(self) -> set[str]:
        return set(self._run(self._control_plane, "ctr", "--namespace", "k8s.io", "images", "list", "--quiet").split())

    def build_image(self, name: str, dockerfile: Path, *more: str) -> None:
        run("docker", "build", "--file", str(dockerfile), "--tag", name, *more, str(ROOT), timeout=BUILD_SECONDS)
        run("kind", "load", "docker-image", name, "--name", self._cluster, timeout=300)

    def load_archive(self, archive: Path) -> None:
        run("kind", "load", "image-archive", str(archive), "--name", self._cluster, timeout=300)

    def stop(self, component: str, node: str) -> None:
        if component in STATIC_PODS:
            # The kubelet ends a static pod whose manifest goes, and starts it when the manifest is back.
            self._move(f"{MANIFESTS}/{component}.yaml", f"{ASIDE}/{component}.yaml")
            self._wait(lambda: not self._runs(component), f"{component} has ended")
        else:
            self._run(node, "systemctl", "stop", component)

    def start(self, component: str, node: str) -> None:
        if component in STATIC_PODS:
            self._move(f"{ASIDE}/{component}.yaml", f"{MANIFESTS}/{component}.yaml")
            self._wait(lambda: self._runs(component), f"{component} runs")
        else:
            self._run(node, "systemctl", "start", component)

    def restart(self, component: str, node: str) -> None:
        if component == "kube-proxy":
            # The pod of a DaemonSet: its process ends, and the kubelet starts it anew.
            self._run(node, "pkill", "-x", component)
            return
        self.stop(component, node)
        self.start(component, node)

    def audit(self) -> Iterator[str]:
        # The API server's file, which only root may read; its folder is one of the control plane's mounts.
        yield from self._run(self._control_plane, "cat", KIND_AUDIT_LOG).splitlines()

    def on_node(self, node: str, *command: str) -> list[str]:
        return ["docker", "exec", "--interactive", node, *command]

    def kubectl(self) -> list[str]:
        return ["kubectl", f"--kubeconfig={self.kubeconfig}"]

    def helm(self) -> list[str]:
        return _helm(self.kubeconfig)

    def _inspect(self, template: str) -> str:
        return run("docker", "inspect", "--format", template, self._control_plane).strip()

    def _run(self, node: str, *command: str) -> str:
        return run(*self.on_node(node, *command))

    def _move(self, old: str, new: str) -> None:
        self._run(self._control_plane, "mv", old, new)

    def _runs(self, component: str) -> bool:
        found = self._run(self._control_plane, "crictl", "ps", "--quiet", "--name", component, "--state", "Running")
        return bool(found.strip())

    def _wait(self, met: Callable[[], bool], what: str) -> None:
        end = time.monotonic() + COMPONENT_SECONDS
        while not met():
            assert time.monotonic() < end, f"not within {COMPONENT_SECONDS:.0f} s: {what}"
            time.sleep(0.5)


def _helm(kubeconfig: Path) -> list[str]:
    """The program that HEADGATE_HELM names, else the one on the PATH or the testbed's."""
    program = os.environ.get("HEADGATE_HELM") or shutil.which("helm")
    return [program, f"--kubeconfig={kubeconfig}"] if program else [str(TESTBED), "helm"]


def platform_of(kubeconfig: str | None) -> Platform | None:
    """The cluster that a kubeconfig names, by default the testbed's; None where there is none."""
    file = Path(kubeconfig or os.environ.get("HEADGATE_CLUSTER_KUBECONFIG") or _testbed_kubeconfig())
    if not file.is_file():
        return None
    context = str(yaml.safe_load(file.read_text(encoding="utf-8")).get("current-context") or "")
    if context.startswith("kind-"):
        return KindPlatform(file, context.removeprefix("kind-"))
    return TestbedPlatform(file)


def _testbed_kubeconfig() -> str:
    done = subprocess.run([str(TESTBED), "kubeconfig"], capture_output=True, text=True, timeout=30, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
