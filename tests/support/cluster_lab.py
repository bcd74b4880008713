"""Everything around the subjects of the end-to-end tests: cluster, images, registry, operator. One for a session.

It brings up no cluster: it takes the one that runs. Objects of a session carry a label, and what an earlier session
left behind, because it was killed, goes first.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster_load import InAPod, Load, OnTheMachine
from cluster_operator import NAMESPACE as OPERATOR_NAMESPACE
from cluster_operator import RELEASE, Operator
from cluster_platform import ROOT, Platform, run
from cluster_registry import Registry, free_port
from cluster_wire import PatientWire
from kube_wire import eventually, read_kubeconfig

Obj = dict[str, Any]

OPERATOR_IMAGE = "testbed.local/headgate-operator"
SERVER_IMAGE = "testbed.local/headgate-server"
IMAGES = {
    f"{OPERATOR_IMAGE}:1": ("Dockerfile.operator",),
    f"{SERVER_IMAGE}:1": ("Dockerfile.server",),
    # The same content under another digest: a new default of the operator.
    f"{SERVER_IMAGE}:2": ("Dockerfile.server", "--label", "org.opencontainers.image.ref.name=2"),
}
LABEL = "headgate.dev/end-to-end"
LAB_NAMESPACE = "headgate-lab"
POLL_INTERVAL = "1s"
GONE_SECONDS = 120.0
NAMESPACES = "/api/v1/namespaces"


class Lab:
    def __init__(self, platform: Platform, folder: Path) -> None:
        self.platform, self.folder = platform, folder
        self.wire = PatientWire(read_kubeconfig(platform.kubeconfig, folder))
        self.registry = Registry(folder, platform.machine_address(), LAB_NAMESPACE)
        values = {
            "image": {"repository": OPERATOR_IMAGE, "tag": "1"},
            "serverImage": f"{SERVER_IMAGE}:1",
            "registry": {"uri": self.registry.url},
            "pollInterval": POLL_INTERVAL,
            "replicaCount": 2,
        }
        self.operator = Operator(platform, self.wire, folder, values)
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Lab":
        try:
            self._clean_up()
            self.operator.forget()  # what an earlier session's operator said is nobody's fault in this one
            self.began = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
            self._ensure_images()
            self.make_namespace(LAB_NAMESPACE)
            self.registry.publish(self.wire)
            with ThreadPoolExecutor(max_workers=1) as beside:
                training = beside.submit(self._open_registry)
                self.operator.install()
                self.operator.settled()
                training.result()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """The operator stays until the namespaces are gone; the definition of ModelDeployments stays for good."""
        try:
            self._clean_up()
        finally:
            self.registry.stop()
            self.wire.close()

    def _clean_up(self) -> None:
        names = [ns["metadata"]["name"] for ns in self.namespaces()]
        for name in names:
            self.wire.delete(f"{NAMESPACES}/{name}")
        self.operator.uninstall()
        # Nobody else takes it away, and the next session shall see how it is made.
        self.wire.delete(f"/apis/coordination.k8s.io/v1/namespaces/{OPERATOR_NAMESPACE}/leases/{RELEASE}")
        eventually(lambda: not self.namespaces(), f"namespaces of a session are gone: {names}", GONE_SECONDS)

    def _open_registry(self) -> None:
        self.registry.start()
        self.registry.train()

    def _ensure_images(self) -> None:
        for name, (dockerfile, *more) in IMAGES.items():
            if name not in self.platform.images():
                self.platform.build_image(name, ROOT / dockerfile, *more)

    # -- namespaces -----------------------------------------------------------------------------------------

    def namespaces(self) -> list[Obj]:
        """Those of this or an earlier session."""
        return list(self.wire.read(f"{NAMESPACES}?labelSelector={LABEL}")["items"])

    def make_namespace(self, name: str) -> None:
        self.wire.create(NAMESPACES, {"metadata": {"name": name, "labels": {LABEL: "true"}}})
        # Without its account no pod is taken.
        eventually(lambda: self.wire.get(f"{NAMESPACES}/{name}/serviceaccounts/default").status == 200, name)

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """A namespace of a test's own."""
        name = f"e2e-{next(self._numbers)}"
        self.make_namespace(name)
        try:
            yield name
        finally:
            self.wire.delete(f"{NAMESPACES}/{name}")

    # -- commands -------------------------------------------------------------------------------------------

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        return run(*self.platform.kubectl(), *arguments, given=given)

    def headgate(self, *arguments: str) -> str:
        environment = {**os.environ, "KUBECONFIG": str(self.platform.kubeconfig)}
        command = [sys.executable, "-m", "headgate_cli", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    # -- load -----------------------------------------------------------------------------------------------

    def load(self, inside: str, outside: str, plan: Obj, *options: str) -> Load:
        """From a pod to the address `inside`, from this machine to the address `outside`."""
        pod = InAPod(self.wire, LAB_NAMESPACE, f"{SERVER_IMAGE}:1", inside, plan, *options)
        machine = OnTheMachine(self.folder, free_port("127.0.0.1"), outside, plan, *options)
        return Load([pod, machine])
