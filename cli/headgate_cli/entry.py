"""The `headgate` command: parsing, and who does the work.

Commands of a cluster talk to the Kubernetes API only; what the operator shall do is told by an annotation. `local`,
`demo` and `replay` are other programs, started or imported only when asked for, since their requirements may not be
installed.
"""

import importlib.util
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import yaml

from headgate_cli import __version__, live, show, watching
from headgate_cli import why as reasons
from headgate_cli.lint import lint
from headgate_cli.options import Target, of_cluster
from headgate_cli.verbs import VERBS

HELP_NAMES = ["-h", "--help"]
CONTEXT = {"help_option_names": HELP_NAMES, "max_content_width": 100}
PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


@click.group(
    context_settings=CONTEXT,
    epilog="Every command explains itself and gives examples: headgate COMMAND --help",
)
@click.version_option(__version__, prog_name="headgate")
def cli() -> None:
    """Take MLflow model versions to production on plain Kubernetes: look, promote, undo, try out."""


OUTPUT = click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Print the objects instead.")


@cli.command()
@click.argument("name", required=False)
@click.option(
    "-w", "--watch", is_flag=True, help="Keep looking, and show every change; of one, its rollout as it goes."
)
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@OUTPUT
@of_cluster
def status(target: Target, name: str | None, watch: bool, all_namespaces: bool, output: str | None) -> None:
    """Show how ModelDeployments are, or one of them in detail.

    \b
    Examples:
      headgate status
      headgate status iris
      headgate status iris --watch
      headgate status iris --watch -o json
      headgate status -A -o json
    """
    if name and all_namespaces:
        raise click.UsageError("NAME and --all-namespaces exclude each other: say -n NAMESPACE")

    def look() -> list[str]:
        if name:
            return show.detail(target.get(name), _now())
        found = target.items(everywhere=all_namespaces)
        if not found:
            where = "in this cluster" if all_namespaces else f"in namespace {target.namespace}"
            return [f"No ModelDeployments {where}."]
        return show.listing(found, _now(), namespaced=all_namespaces)

    def objects() -> Any:
        return target.get(name) if name else _as_list(target.items(everywhere=all_namespaces))

    def picture() -> list[str]:
        return live.picture(target.get(name or ""), _now(), plain=not watching.draws())

    def line() -> str:
        return live.line(target.get(name or ""), _now())

    if output and watch:
        watching.follow(objects, lambda told: _print_object(told, output, one_of_many=True))
    elif output:
        _print_object(objects(), output)
    elif watch and name:
        lines = watching.patiently(picture, lambda trouble: [trouble])
        watching.watch(lines, watching.patiently(line, str))
    elif watch:
        watching.watch(watching.patiently(look, lambda trouble: [trouble]))
    else:
        watching.say(look())


@cli.command()
@click.argument("name")
@OUTPUT
@of_cluster
def history(target: Target, name: str, output: str | None) -> None:
    """List what was rolled out, newest first, and how it went.

    \b
    Examples:
      headgate history iris
      headgate history iris -o yaml
    """
    obj = target.get(name)
    entries = (obj.get("status") or {}).get("history") or []
    if output:
        _print_object(entries, output)
    elif not entries:
        click.echo(f"{name} has not been rolled out yet.")
    else:
        watching.say(show.history(obj, _now()))


@cli.command()
@click.argument("name")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the same for programs.")
@of_cluster
def why(target: Target, name: str, output: str | None) -> None:
    """Explain the last decision and the present one: who decided, on which numbers, and what is waited for.

    \b
    Examples:
      headgate why iris
      headgate why iris -o json
    """
    explained = reasons.explain(target.get(name))
    if output:
        _print_object(explained, output)
    else:
        watching.say(reasons.lines(explained, _now()))


cli.add_command(lint)
for verb in VERBS:
    cli.add_command(verb)


@cli.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def local(arguments: tuple[str, ...]) -> None:
    """A laptop-size Kubernetes for trying things out: headgate local --help."""
    sys.exit(subprocess.run([sys.executable, "-m", "headgate_local", *arguments], check=False).returncode)  # noqa: S603


@cli.command()
@click.argument("file")
def replay(file: str) -> None:
    """Say what the evidence engine decides from recorded counts, one JSON line a tick. FILE may be - (standard input).

    \b
    Examples:
      headgate replay rollout.json
      headgate replay - < rollout.json
    """
    # Of the operator, because the engine that decides in the cluster is the one to ask; it needs nothing installed.
    if importlib.util.find_spec("headgate_operator") is None:
        raise click.ClickException("replay needs the operator's package: pip install 'headgate[operator]'")
    command = [sys.executable, "-m", "headgate_operator.replay", "--", file]
    sys.exit(subprocess.run(command, check=False).returncode)  # noqa: S603


@cli.command()
@click.option("--keep", is_flag=True, help="Leave everything running afterwards, to look around.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the result there, too."
)
def demo(keep: bool, report: Path | None) -> None:
    """Deploy, promote and roll back real models under live traffic, on this machine.

    \b
    Examples:
      headgate demo
      headgate demo --keep
      headgate demo --report demo.md
    """
    try:
        from headgate_cli.demo import command
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("headgate_cli"):
            raise
        raise click.ClickException(
            f"the demonstration needs the package {error.name}: pip install 'headgate[demo]'"
        ) from None
    sys.exit(command.run(keep=keep, report_file=report))


def _now() -> datetime:
    return datetime.now(UTC)


def _as_list(objects: list[dict[str, Any]]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def _print_object(obj: Any, output: str, *, one_of_many: bool = False) -> None:
    """One of many is a line of JSON, or a document of YAML."""
    if output == "json":
        click.echo(json.dumps(obj, indent=None if one_of_many else 2))
    else:
        click.echo(("---\n" if one_of_many else "") + yaml.safe_dump(obj, sort_keys=False).rstrip())
