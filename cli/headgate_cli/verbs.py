"""The commands that order something: each is one annotation to the operator, and waits for its answer."""

import getpass
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from headgate_cli.options import Seconds, Target, of_cluster
from headgate_cli.orders import OrderError, Orders

TIMEOUT = click.option(
    "--timeout", type=Seconds(), default="30s", show_default=True, help="How long to wait for the operator's answer."
)


def ordering(command: Callable[..., None]) -> Callable[..., None]:
    """NAME, --timeout and the options of a cluster."""
    return click.argument("name")(TIMEOUT(of_cluster(command)))


@click.command()
@ordering
@click.option("--full", is_flag=True, help="Skip the steps that are left, too: all the traffic at once.")
def promote(target: Target, name: str, timeout: float, full: bool) -> None:
    """Let the rollout under way go on to its next step without waiting for evidence, time or approval.

    \b
    Examples:
      headgate promote iris
      headgate promote iris --full
    """
    order(target, name, "promote", timeout, {"full": True} if full else {})


@click.command()
@ordering
def abort(target: Target, name: str, timeout: float) -> None:
    """Give up the rollout under way: the traffic goes back to what served before.

    It does not wait for its turn: an earlier command that the operator has not answered yet is overwritten.

    \b
    Examples:
      headgate abort iris
      headgate abort iris -n team-a
    """
    order(target, name, "abort", timeout, overwrite=True)


@click.command()
@ordering
@click.option("--to", metavar="N", help="A version that served before, by its number (headgate history).")
def undo(target: Target, name: str, timeout: float, to: str | None) -> None:
    """Go back to the version that served before, and keep the present one away.

    In the middle of a rollout the candidate is given up. After one, the traffic goes back to the previous version: at
    once while it is still warm, after verifying it anew otherwise. What was undone does not return by itself; say
    `retry` when it shall.

    \b
    Examples:
      headgate undo iris
      headgate undo iris --to 3
      headgate undo iris -n team-a --timeout 2m
    """
    order(target, name, "undo", timeout, {} if to is None else {"to": to})


@click.command()
@ordering
def retry(target: Target, name: str, timeout: float) -> None:
    """Roll out again what was rejected or undone.

    \b
    Examples:
      headgate retry iris
      headgate retry iris -n team-a --timeout 2m
    """
    order(target, name, "retry", timeout)


@click.command()
@ordering
def pause(target: Target, name: str, timeout: float) -> None:
    """Hold the operator's own decisions: no rollout starts, none goes on.

    What serves is repaired, a failing version is still taken back, and `undo` still works.

    \b
    Examples:
      headgate pause iris
      headgate pause iris -n team-a
    """
    order(target, name, "pause", timeout)


@click.command()
@ordering
def resume(target: Target, name: str, timeout: float) -> None:
    """End a pause. One that the spec says (spec.paused) ends there.

    \b
    Examples:
      headgate resume iris
      headgate resume iris -n team-a
    """
    order(target, name, "resume", timeout)


@click.command()
@ordering
@click.option("--update-image", is_flag=True, help="With the operator's present default image of the server.")
def restart(target: Target, name: str, timeout: float, update_image: bool) -> None:
    """Replace the pods that serve by new ones of the same version and settings.

    They are verified and switched to like a new version; if they fail, the old ones keep serving.

    \b
    Examples:
      headgate restart iris
      headgate restart iris --update-image
    """
    order(target, name, "restart", timeout, {"updateImage": True} if update_image else {})


VERBS = (promote, abort, undo, retry, pause, resume, restart)


def order(
    target: Target,
    name: str,
    verb: str,
    timeout: float,
    args: Mapping[str, Any] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    target.get(name)  # a mistyped name is answered with near ones
    orders = Orders(
        target.cluster,
        by=getpass.getuser(),
        new_id=lambda: uuid.uuid4().hex,
        now=lambda: datetime.now(UTC),
        clock=time.monotonic,
        pause=time.sleep,
    )
    try:
        answer = orders.give(target.namespace, name, verb, timeout=timeout, args=args or {}, overwrite=overwrite)
    except OrderError as error:
        raise click.ClickException(str(error)) from None
    if not answer.accepted:
        raise click.ClickException(f"{verb} was refused: {answer.message}")
    click.echo(f"{verb} {name}: accepted. {answer.message}".rstrip(". ") + ".")
    click.echo(f"To follow it: headgate status {name} -n {target.namespace} --watch")
