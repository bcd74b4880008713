"""Pods of the tests' own: a script of tests/cluster/load in the server's image, which brings Python and aiohttp."""

import json
import time
from pathlib import Path
from typing import Any

from kube_wire import Wire, eventually

Obj = dict[str, Any]

SCRIPTS = Path(__file__).parents[1] / "cluster" / "load"
START_SECONDS = 60.0


class ScriptPod:
    """Runs `script` with the plan as a file and these arguments; `{plan}` stands for the file's path."""

    def __init__(self, wire: Wire, namespace: str, image: str, script: str, plan: Any, *arguments: str, port: int = 0):
        self._wire, self._namespace, self._image = wire, namespace, image
        self._script, self._plan, self._arguments, self._port = script, plan, arguments, port
        self.name = f"{Path(script).stem}-{time.time_ns()}"

    @property
    def path(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods/{self.name}"

    def start(self) -> None:
        data = {self._script: (SCRIPTS / self._script).read_text(encoding="utf-8"), "plan.json": json.dumps(self._plan)}
        self._wire.create(self._configmaps, {"metadata": {"name": self.name}, "data": data})
        self._wire.create(f"/api/v1/namespaces/{self._namespace}/pods", self._manifest())
        eventually(self._ready, f"the pod {self.name} is ready", START_SECONDS)

    def end(self) -> None:
        self._wire.delete(self.path, {"gracePeriodSeconds": 0})
        self._wire.delete(f"{self._configmaps}/{self.name}")

    def log(self) -> str:
        return str(self._wire.get(f"{self.path}/log").body)

    @property
    def phase(self) -> str:
        return str(self._wire.read(self.path)["status"].get("phase", ""))

    @property
    def _configmaps(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/configmaps"

    def _ready(self) -> bool:
        status = self._wire.read(self.path)["status"]
        assert status.get("phase") != "Failed", self.log()
        return any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", []))

    def _manifest(self) -> Obj:
        command = ["python", f"/script/{self._script}", *(a.format(plan="/script/plan.json") for a in self._arguments)]
        container: Obj = {
            "name": "script",
            "image": self._image,
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            # Without a share of the processor a load measures its own waiting.
            "resources": {"requests": {"cpu": "200m"}},
            "volumeMounts": [{"name": "script", "mountPath": "/script", "readOnly": True}],
        }
        if self._port:
            probe = {"tcpSocket": {"port": self._port}, "periodSeconds": 1}
            container |= {"ports": [{"containerPort": self._port}], "readinessProbe": probe}
        return {
            "metadata": {"name": self.name},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "containers": [container],
                "volumes": [{"name": "script", "configMap": {"name": self.name}}],
            },
        }
