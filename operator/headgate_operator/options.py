"""What the operator is told at start, by flags or by environment. Every flag `--some-name` is also
`HEADGATE_OPERATOR_SOME_NAME` (lists separated by commas); the flag wins. docs/reference/operator.md lists them all, and
a test compares.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from headgate_operator import __version__
from headgate_operator.api.durations import parse_duration
from headgate_operator.egress import NotAllowedError, normalised

PREFIX = "HEADGATE_OPERATOR_"
SERVER_IMAGE = f"ghcr.io/headgate/headgate-server:{__version__}"
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
HOST = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9.]{0,251}[A-Za-z0-9])?|\[[0-9a-fA-F:.]+\])(:[0-9]{1,5})?")
TRUE = frozenset({"1", "true", "yes", "on"})
FALSE = frozenset({"", "0", "false", "no", "off"})

EXAMPLES = """\
examples:
  On a laptop, against the cluster of KUBECONFIG:
    headgate-operator --registry-uri http://127.0.0.1:5000 --no-leader-elect

  In a cluster, for two namespaces, with credentials for the registry mounted as files:
    headgate-operator --registry-uri http://mlflow.mlops:5000 --registry-credentials /etc/headgate/registry \\
        --namespace team-a --namespace team-b

  The same by environment:
    HEADGATE_OPERATOR_REGISTRY_URI=http://mlflow.mlops:5000 HEADGATE_OPERATOR_NAMESPACE=team-a,team-b headgate-operator
"""


@dataclass(frozen=True, kw_only=True)
class Options:
    registry_uri: str
    registry_credentials: Path | None = None
    server_image: str = SERVER_IMAGE
    namespaces: tuple[str, ...] = ()
    allow_registry: tuple[str, ...] = ()
    allow_prometheus: tuple[str, ...] = ()
    allow_webhook: tuple[str, ...] = ()
    notify_slack_url_file: Path | None = None
    notify_url_file: Path | None = None
    poll_interval: float = 15.0
    resync: float = 300.0
    leader_elect: bool = True
    lease_namespace: str = "default"
    lease_name: str = "headgate-operator"
    health_host: str = "0.0.0.0"
    health_port: int = 8090
    kubeconfig: str | None = None
    log_format: str = "json"


class _WithEnvironment(argparse.ArgumentParser):
    """Takes the default of each flag from the environment, through the flag's own type and choices."""

    def __init__(self, environment: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._environment = environment

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        for action in self._actions:
            name = PREFIX + action.dest.upper()
            if action.dest in {"help", "version"} or not (told := self._environment.get(name)):
                continue
            try:
                action.default = self._value(action, told)
            except (argparse.ArgumentTypeError, ValueError) as error:
                self.error(f"{name}: {error}")
            action.required = False
        return self.parse_args(arguments)

    def _value(self, action: argparse.Action, told: str) -> Any:
        if action.nargs == 0:
            if told.lower() not in TRUE | FALSE:
                raise ValueError(f"{told!r} is neither true nor false")
            return told.lower() in TRUE
        convert = action.type if callable(action.type) else str
        if isinstance(action.default, list):
            return [convert(part.strip()) for part in told.split(",") if part.strip()]
        value = convert(told)
        if action.choices is not None and value not in action.choices:
            raise ValueError(f"{told!r} is none of {', '.join(map(str, action.choices))}")
        return value


def parser(environment: Mapping[str, str]) -> _WithEnvironment:
    p = _WithEnvironment(
        environment,
        prog="headgate-operator",
        description="Takes MLflow model versions to production: resolves, verifies, switches, rolls back.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = p.add_argument
    add("--registry-uri", required=True, type=_registry, metavar="URI", help="the MLflow registry that models name")
    add(
        "--registry-credentials",
        type=Path,
        metavar="DIR",
        help="folder with username and password, or token, and ca.crt, for that registry",
    )
    add("--server-image", default=SERVER_IMAGE, metavar="IMG", help="image of new revisions (default: %(default)s)")
    add(
        "--namespace",
        action="append",
        default=[],
        metavar="NS",
        help="watch only this namespace (repeatable; default: the whole cluster)",
    )
    add(
        "--allow-registry",
        action="append",
        default=[],
        type=_registry,
        metavar="URI",
        help="another registry that ModelDeployments may name (repeatable; default: none)",
    )
    add(
        "--allow-prometheus",
        action="append",
        default=[],
        type=_prometheus,
        metavar="URL",
        help="a Prometheus that ModelDeployments may ask; a single one is their default (repeatable; default: none)",
    )
    add(
        "--allow-webhook",
        action="append",
        default=[],
        type=_host,
        metavar="HOST",
        help="a host (or host:port) whose webhooks ModelDeployments may name (repeatable; default: none)",
    )
    add(
        "--notify-slack-url-file",
        type=Path,
        metavar="FILE",
        help="a file that holds the address of a Slack-compatible webhook to tell outcomes to",
    )
    add("--notify-url-file", type=Path, metavar="FILE", help="the same for a webhook that takes plain JSON")
    add("--poll-interval", default=15.0, type=_seconds, metavar="15s", help="between two looks at a registry")
    add("--resync", default=300.0, type=_seconds, metavar="5m", help="between two looks at everything, woken or not")
    add("--no-leader-elect", action="store_true", help="do not elect a leader: only where one process can run")
    add("--lease-namespace", metavar="NS", help="namespace of the Lease (default: the pod's own, else default)")
    add("--lease-name", default="headgate-operator", metavar="NAME", help="name of the Lease (default: %(default)s)")
    add("--health-host", default="0.0.0.0", metavar="HOST", help="where /livez, /readyz, /metrics listen")
    add("--health-port", default=8090, type=int, metavar="PORT", help="their port (default: %(default)s)")
    add("--kubeconfig", metavar="FILE", help="default: KUBECONFIG, else the pod's own account, else ~/.kube/config")
    add("--log-format", default="json", choices=("json", "text"), help="(default: %(default)s)")
    add("--version", action="version", version=f"headgate-operator {__version__}")
    return p


def parse(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Options:
    """Exits with a usage message where something is wrong, as argparse does."""
    told = parser(os.environ if environment is None else environment).parse(arguments)
    return Options(
        registry_uri=told.registry_uri,
        registry_credentials=told.registry_credentials,
        server_image=told.server_image,
        namespaces=tuple(dict.fromkeys(told.namespace)),
        allow_registry=tuple(told.allow_registry),
        allow_prometheus=tuple(told.allow_prometheus),
        allow_webhook=tuple(told.allow_webhook),
        notify_slack_url_file=told.notify_slack_url_file,
        notify_url_file=told.notify_url_file,
        poll_interval=told.poll_interval,
        resync=told.resync,
        leader_elect=not told.no_leader_elect,
        lease_namespace=told.lease_namespace or _own_namespace(),
        lease_name=told.lease_name,
        health_host=told.health_host,
        health_port=told.health_port,
        kubeconfig=told.kubeconfig,
        log_format=told.log_format,
    )


def _own_namespace() -> str:
    try:
        return NAMESPACE_FILE.read_text(encoding="utf-8").strip() or "default"
    except OSError:
        return "default"


def _registry(text: str, what: str = "registry") -> str:
    try:
        return normalised(text, what)
    except NotAllowedError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _host(text: str) -> str:
    if not HOST.fullmatch(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a host or host:port, such as bots.example.com:8443")
    return text.lower()


def _prometheus(text: str) -> str:
    return _registry(text, "Prometheus")


def _seconds(text: str) -> float:
    try:
        seconds = parse_duration(text).total_seconds()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 15s or 5m") from error
    if seconds <= 0:
        raise argparse.ArgumentTypeError("must be longer than 0s")
    return float(seconds)
