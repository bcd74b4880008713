"""The options and errors that the commands about a cluster share."""

import difflib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import click

from headgate_cli.kube import MODEL_DEPLOYMENTS, Cluster, ClusterError

Obj = dict[str, Any]


class Target:
    """A cluster and a namespace. Reads of missing objects end the command with what a person can do about it."""

    def __init__(self, connect: Callable[[], Cluster], namespace: str | None) -> None:
        self._connect, self._asked = connect, namespace

    @functools.cached_property
    def cluster(self) -> Cluster:
        # Not before it is needed: a mistyped option is told without a cluster, too.
        return self._connect()

    def close(self) -> None:
        if "cluster" in self.__dict__:
            self.cluster.close()

    @property
    def namespace(self) -> str:
        return self._asked or self.cluster.namespace

    def get(self, name: str) -> Obj:
        obj = self.cluster.get(MODEL_DEPLOYMENTS, self.namespace, name)
        if obj is None:
            self._not_found(name)
        return obj

    def items(self, *, everywhere: bool) -> list[Obj]:
        found = self.cluster.items(MODEL_DEPLOYMENTS, None if everywhere else self.namespace)
        return sorted(found, key=lambda obj: (obj["metadata"]["namespace"], obj["metadata"]["name"]))

    def _not_found(self, name: str) -> NoReturn:
        message = f"no ModelDeployment {name} in namespace {self.namespace}"
        here = [obj["metadata"]["name"] for obj in self.items(everywhere=False)]
        if near := difflib.get_close_matches(name, here, n=3):
            raise click.ClickException(f"{message}. Did you mean {' or '.join(near)}?")
        try:
            there = [obj["metadata"] for obj in self.items(everywhere=True)]
        except ClusterError:  # looking elsewhere may be forbidden
            there = []
        if elsewhere := sorted(meta["namespace"] for meta in there if meta["name"] == name):
            raise click.ClickException(f"{message}. There is one in namespace {elsewhere[0]}: -n {elsewhere[0]}")
        raise click.ClickException(f"{message}. There are: {', '.join(here) or 'none'}")


def of_cluster(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command `--kubeconfig`, `--context` and `-n`, and calls it with `target`."""

    @click.option(
        "--kubeconfig",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Kubeconfig file (default: $KUBECONFIG, else ~/.kube/config).",
    )
    @click.option("--context", metavar="NAME", help="Context of the kubeconfig (default: its current one).")
    @click.option("-n", "--namespace", metavar="NS", help="Namespace (default: the context's, else default).")
    @functools.wraps(command)
    def with_target(*, kubeconfig: Path | None, context: str | None, namespace: str | None, **rest: Any) -> None:
        connect = functools.partial(Cluster.connect, kubeconfig=kubeconfig, context=context)
        target = Target(connect, namespace)
        try:
            command(target=target, **rest)
        except ClusterError as error:
            raise click.ClickException(str(error)) from None
        finally:
            target.close()

    return with_target


class Seconds(click.ParamType):  # type: ignore[type-arg] # generic only in newer versions
    """A duration such as 30s or 2m."""

    name = "duration"
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        number, unit = (value[:-1], value[-1]) if value[-1:] in self.units else (value, "s")
        try:
            seconds = float(number) * self.units[unit]
        except ValueError:
            self.fail(f"{value!r} is not a duration such as 30s or 2m", param, ctx)
        if not 0 < seconds < float("inf"):
            self.fail("must be longer than 0s", param, ctx)
        return seconds
