"""Who is measured: how each server is started, asked, and with which of ours it is compared.

Settings are chosen in the peers' favour: one worker, one thread a library (there is one core), telemetry off, and
"tuned" is the fastest that their own settings give without changing their code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serving_requests import BENTO, INVOCATIONS, V2

PEERS = Path(__file__).with_name("peers")
OURS = "headgate"


@dataclass(frozen=True)
class Place:
    """Where one server runs."""

    bin: Path
    model: Path
    work: Path
    port: int
    ops_port: int


@dataclass(frozen=True)
class Command:
    argv: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    peer: str
    environment: str
    """Its requirement file; empty is the project's own environment."""
    package: str
    protocol: str
    form: str
    """Which of the forms of a model it loads; empty is none."""
    against: str
    ready: str
    live: str
    command: Callable[[Place], Command]
    live_on_ops: bool = False

    @property
    def is_echo(self) -> bool:
        return not self.form


def headgate(place: Place) -> Command:
    told = {
        "MODEL": str(place.model),
        "MODEL_NAME": "iris",
        "MODEL_VERSION": "1",
        "HOST": "127.0.0.1",
        "PORT": str(place.port),
        "OPS_PORT": str(place.ops_port),
        "LOG_SINKS": "",
        "DRAIN_DELAY": "0",
    }
    environment = {f"HEADGATE_{name}": value for name, value in told.items()}
    return Command([sys.executable, "-m", "headgate_server"], environment)


def echo(place: Place) -> Command:
    """The flags are those with which headgate-server runs uvicorn."""
    flags = "--host 127.0.0.1 --loop uvloop --http httptools --ws none --lifespan off --log-level warning"
    more = ["--no-access-log", "--no-server-header", "--port", str(place.port), "--app-dir", str(PEERS)]
    return Command([sys.executable, "-m", "uvicorn", "bare_echo:app", *flags.split(), *more])


def kserve(place: Place, *more: str) -> Command:
    script = str(PEERS / "kserve_sklearn.py")
    flags = ["--model_name", "iris", "--http_port", str(place.port), "--enable_grpc", "false", *more]
    return Command([str(place.bin / "python"), script, *flags], {"MODEL_FILE": str(place.model)})


def kserve_quiet(place: Place) -> Command:
    return kserve(place, "--enable_latency_logging", "false", "--configure_logging", "false")


def mlserver(place: Place) -> Command:
    """No worker processes (so no hop between processes), no gzip, no access log."""
    settings = {
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": place.ops_port,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "gzip_enabled": False,
        "debug": False,
    }
    model = {
        "name": "iris",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(place.model), "version": "1"},
    }
    (place.work / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    (place.work / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    return Command([str(place.bin / "mlserver"), "start", str(place.work)])


def mlflow(place: Place) -> Command:
    flags = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(place.port)]
    return Command([str(place.bin / "mlflow"), "models", "serve", "--model-uri", str(place.model), *flags])


def mlflow_tuned(place: Place) -> Command:
    """What `mlflow models serve` runs, with uvloop, httptools and no access log. The model has no signature."""
    app = "mlflow.pyfunc.scoring_server.app:app"
    flags = "--host 127.0.0.1 --loop uvloop --http httptools --ws none --no-access-log --log-level warning"
    argv = [str(place.bin / "python"), "-m", "uvicorn", app, *flags.split(), "--port", str(place.port)]
    return Command(argv, {"__pyfunc_model_path__": str(place.model)})


def bentoml(place: Place) -> Command:
    flags = ["--working-dir", str(PEERS), "--host", "127.0.0.1", "--port", str(place.port)]
    told = {
        "MODEL_FILE": str(place.model),
        "BENTOML_HOME": str(place.work),
        "BENTOML_CONFIG_OPTIONS": "services.logging.access.enabled=false",
    }
    return Command([str(place.bin / "bentoml"), "serve", "bento_sklearn:Sklearn", *flags], told)


_OURS_V2, _OURS_INVOCATIONS = "headgate-v2", "headgate-invocations"
_V2_READY, _V2_LIVE = "/v2/models/iris/ready", "/v2/health/live"

CONTENDERS = (
    Contender(_OURS_V2, "**Headgate**, V2", OURS, "", "onnxruntime", V2, "onnx-tensor", "",
              "/readyz", "/livez", headgate, live_on_ops=True),
    Contender(_OURS_INVOCATIONS, "**Headgate**, `/invocations`", OURS, "", "onnxruntime", INVOCATIONS,
              "onnx-columns", "", "/readyz", "/livez", headgate, live_on_ops=True),
    Contender("echo-v2", "bare ASGI echo, V2 body", "echo", "", "uvicorn", V2, "", _OURS_V2,
              "/64", "/64", echo),
    Contender("echo-invocations", "bare ASGI echo, `dataframe_split` body", "echo", "", "uvicorn", INVOCATIONS, "",
              _OURS_INVOCATIONS, "/64", "/64", echo),
    Contender("kserve", "KServe, V2", "kserve", "kserve", "kserve", V2, "model.joblib", _OURS_V2,
              _V2_READY, _V2_LIVE, kserve),
    Contender("kserve-quiet", "KServe without its logs, V2", "kserve", "kserve", "kserve", V2, "model.joblib", _OURS_V2,
              _V2_READY, _V2_LIVE, kserve_quiet),
    Contender("mlserver", "MLServer tuned, V2", "mlserver", "mlserver", "mlserver", V2, "model.joblib", _OURS_V2,
              _V2_READY, _V2_LIVE, mlserver),
    Contender("mlflow", "`mlflow models serve`, `dataframe_split`", "mlflow", "mlflow", "mlflow", INVOCATIONS, "mlflow",
              _OURS_INVOCATIONS, "/ping", "/ping", mlflow),
    Contender("mlflow-tuned", "the same, tuned, no signature", "mlflow", "mlflow-tuned", "mlflow", INVOCATIONS,
              "mlflow-plain", _OURS_INVOCATIONS, "/ping", "/ping", mlflow_tuned),
    Contender("bentoml", "BentoML without its access log", "bentoml", "bentoml", "bentoml", BENTO, "model.joblib",
              _OURS_V2, "/readyz", "/livez", bentoml),
)  # fmt: skip
BY_NAME = {contender.name: contender for contender in CONTENDERS}
CHOICES = tuple(dict.fromkeys(contender.peer for contender in CONTENDERS if contender.peer != OURS))


def chosen(only: list[str]) -> list[Contender]:
    """Ours are always among them, since the others are compared with them."""
    return [c for c in CONTENDERS if c.peer == OURS or not only or c.peer in only]
