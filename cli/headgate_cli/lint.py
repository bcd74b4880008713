"""`headgate lint`: what a server would refuse, and what is allowed and rarely meant.

Refusals come from whoever knows all the rules: the cluster (a dry run, nothing is stored), else the embedded control
plane of `headgate[local]`, which is another program. Without either a few rules are known here.
"""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import yaml

from headgate_cli import advice, contract
from headgate_cli.kube import MODEL_DEPLOYMENTS, ClusterError
from headgate_cli.options import Target, of_cluster

Obj = dict[str, Any]
REFUSED = {400, 422, 500}
ALREADY_THERE = 409
BUNDLED = "the rules of headgate[local]"
BASICS = "a few rules only: no cluster can be asked, and headgate[local] is not installed"


@dataclass
class Subject:
    file: str
    obj: Obj
    checked_by: str = ""
    errors: list[advice.Finding] = field(default_factory=list)
    advised: list[advice.Finding] = field(default_factory=list)

    @property
    def name(self) -> str:
        meta = self.obj.get("metadata")
        return str(meta.get("name") or "") if isinstance(meta, dict) else ""

    def told(self) -> Obj:
        levels = (("error", self.errors), ("advice", self.advised))
        findings = [{"level": level, **one._asdict()} for level, found in levels for one in found]
        return {"file": self.file, "name": self.name, "checkedBy": self.checked_by, "findings": findings}

    def lines(self) -> list[str]:
        return [
            ": ".join(filter(None, (self.file, self.name, level, one.path, one.message)))
            for level, found in (("error", self.errors), ("advice", self.advised))
            for one in found
        ]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--offline", is_flag=True, help="Ask no cluster.")
@click.option("-o", "--output", type=click.Choice(["json"]), help="Print the findings for programs.")
@of_cluster
def lint(target: Target, files: tuple[str, ...], offline: bool, output: str | None) -> None:
    """Say what is wrong with ModelDeployments in files, and what is rarely meant. FILE may be - (standard input).

    What is wrong is asked of the cluster (a dry run: nothing is stored), or checked by the same rules where none can be
    reached. Exit status 1 where something is wrong; advice alone is no failure.

    \b
    Examples:
      headgate lint iris.yaml
      headgate lint k8s/*.yaml --offline
      headgate lint iris.yaml -o json
    """
    subjects = [subject for file in files for subject in _read(file)]
    _check(subjects, None if offline else target)
    for subject in subjects:
        if subject.obj:
            subject.advised = advice.advise(subject.obj)
    errors, advised = sum(len(one.errors) for one in subjects), sum(len(one.advised) for one in subjects)
    if output:
        told = {"errors": errors, "advice": advised, "objects": [subject.told() for subject in subjects]}
        click.echo(json.dumps(told, indent=2))
    else:
        for line in (line for subject in subjects for line in subject.lines()):
            click.echo(line)
        by = ", ".join(dict.fromkeys(one.checked_by for one in subjects if one.checked_by))
        checked = f" (checked by {by})" if by else ""
        pieces = f"{advised} piece{'' if advised == 1 else 's'} of advice"
        click.echo(f"{errors} error{'' if errors == 1 else 's'}, {pieces}{checked}.")
    if errors:
        sys.exit(1)


def _read(file: str) -> list[Subject]:
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        documents = list(yaml.load_all(text, Loader=Strict))
    except (OSError, UnicodeDecodeError) as error:
        return [Subject(file, {}, errors=[advice.Finding("", f"cannot be read: {error}")])]
    except yaml.YAMLError as error:
        return [Subject(file, {}, errors=[advice.Finding("", f"is no YAML: {_where(error)}")])]
    found = [Subject(file, obj) for document in documents for obj in _deployments(document)]
    return found or [Subject(file, {}, errors=[advice.Finding("", f"no {contract.KIND} in it")])]


class Strict(yaml.SafeLoader):
    """A key that is given twice is a mistake, as `kubectl apply` says, too."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen and isinstance(key.value, str) and key.tag != "tag:yaml.org,2002:merge":
                raise yaml.MarkedYAMLError(problem=f"{key.value} is given twice", problem_mark=key.start_mark)
            if isinstance(key.value, str):
                seen.add(key.value)
        return super().construct_mapping(node, deep)


def _where(error: yaml.YAMLError) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else str(error)


def _deployments(document: Any) -> Iterator[Obj]:
    if not isinstance(document, dict):
        return
    if document.get("kind") == "List" and isinstance(document.get("items"), list):
        for item in document["items"]:
            yield from _deployments(item)
    elif document.get("kind") == contract.KIND:
        yield document


def _check(subjects: list[Subject], target: Target | None) -> None:
    rest = [subject for subject in subjects if subject.obj]
    if target is not None:
        rest = _by_the_cluster(rest, target)
    if not rest:
        return
    if (found := _by_the_bundled_rules([subject.obj for subject in rest])) is None:
        for subject in rest:
            subject.checked_by, subject.errors = BASICS, advice.basics(subject.obj)
        return
    for subject, errors in zip(rest, found, strict=True):
        subject.checked_by, subject.errors = BUNDLED, errors


def _by_the_cluster(subjects: list[Subject], target: Target) -> list[Subject]:
    """Those that it could not be asked about."""
    for number, subject in enumerate(subjects):
        try:
            subject.errors = _dry_run(target, subject.obj)
        except ClusterError as error:
            click.echo(f"The cluster is not asked: {error}", err=True)
            return subjects[number:]
        subject.checked_by = "the cluster"
    return []


def _dry_run(target: Target, obj: Obj) -> list[advice.Finding]:
    """As a new object. One that is there already is found to be so after everything else has been checked."""
    meta = obj.get("metadata")
    namespace = (meta.get("namespace") if isinstance(meta, dict) else None) or target.namespace
    try:
        target.cluster.try_out(MODEL_DEPLOYMENTS, str(namespace), obj)
    except ClusterError as error:
        if error.status == ALREADY_THERE:
            return []
        if error.status not in REFUSED:
            raise
        return [_finding(path, message) for path, message in error.causes] or [_finding("", str(error))]
    return []


def _finding(path: str, message: str) -> advice.Finding:
    """`<nil>`: a rule about the whole object."""
    return advice.Finding("" if path == "<nil>" else path, message)


def _by_the_bundled_rules(objects: list[Obj]) -> list[list[advice.Finding]] | None:
    if importlib.util.find_spec("headgate_local") is None:
        return None
    command = [sys.executable, "-m", "headgate_local.offline"]
    done = subprocess.run(  # noqa: S603
        command, input=json.dumps(objects, default=str), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:  # its requirements are not installed
        return None
    return [[_finding(one["path"], one["message"]) for one in found] for found in json.loads(done.stdout)]
