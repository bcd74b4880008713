"""Printing: with colours and in place on a terminal, plain and only what changed elsewhere."""

import re
import time
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.live import Live
from rich.text import Text
from rich.theme import Theme

from headgate_cli.kube import ClusterError

Obj = dict[str, Any]
T = TypeVar("T")
LOOK_SECONDS = 1.0
# Words that grow by themselves: "5s", "3m ago", the time that a line begins with. Without a terminal they are no reason
# to print again.
AGES = re.compile(r"\b\d+[smhd]\b|^\d{4}-\d\d-\d\dT[\d:]+(Z|[+-][\d:]+)")

GOOD = "AsWanted|Promoted|True|Accepted|Resolved|Serving"
BAD = "RolledBack|FirstRolloutFailed|NameConflict|InvalidSpec|Stalled|Refused|NoReadyPods"


class Words(RegexHighlighter):
    base_style = "headgate."
    highlights = [
        r"(?<!no )worse +(?P<bad>█+)",
        r"no worse +(?P<good>█+)",
        rf"\b(?P<good>{GOOD})\b",
        rf"\b(?P<bad>{BAD})\b",
        r"^(?P<head>[A-Z]{2,}(   +[A-Z]+)+)$",
    ]


THEME = Theme({"headgate.good": "green", "headgate.bad": "bold red", "headgate.head": "bold"})


def console() -> Console:
    return Console(theme=THEME, highlighter=Words(), soft_wrap=True)


def say(lines: list[str]) -> None:
    out = console()
    for line in lines:
        out.print(Words()(line))


def draws() -> bool:
    """Whether there is a terminal, and one that can draw bars."""
    out = console()
    return out.is_terminal and (out.encoding or "").lower().startswith("utf")


def watch(look: Callable[[], list[str]], line: Callable[[], str] | None = None) -> None:
    """Until interrupted. `line`: what is appended for each change where there is no terminal to draw on."""
    out = console()
    try:
        if out.is_terminal:
            _in_place(out, look)
        else:
            _as_log(look if line is None else lambda: [line()])
    except KeyboardInterrupt:
        return


def follow(look: Callable[[], Obj], tell: Callable[[Obj], None]) -> None:
    """Objects, each time they have changed, until interrupted. Trouble goes to stderr: the output is for programs."""
    shown: Obj = {}

    def away(trouble: str) -> Obj:
        click.echo(trouble, err=True)
        return shown

    patient = patiently(look, away)
    try:
        while True:
            if (seen := patient()) != shown:
                tell(seen)
                shown = seen
            time.sleep(LOOK_SECONDS)
    except KeyboardInterrupt:
        return


def patiently(look: Callable[[], T], instead: Callable[[str], T]) -> Callable[[], T]:
    """Once a look has succeeded, a cluster that cannot be reached is told instead, and looked at again."""
    succeeded = False

    def patient() -> T:
        nonlocal succeeded
        try:
            seen = look()
        except ClusterError as error:
            if not succeeded or error.status:
                raise
            return instead(f"({error})")
        succeeded = True
        return seen

    return patient


def _in_place(out: Console, look: Callable[[], list[str]]) -> None:
    shown: list[str] = []
    out.soft_wrap = False  # a live view must know how high it is; soft wrapping would cut its lines off instead
    with Live(console=out, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            if (lines := look()) != shown:
                live.update(Text("\n").join(Words()(line) for line in lines), refresh=True)
                shown = lines
            time.sleep(LOOK_SECONDS)


def _as_log(look: Callable[[], list[str]]) -> None:
    shown: list[str] = []
    while True:
        lines = look()
        if without_ages(lines) != without_ages(shown):
            say(lines)
            shown = lines
        time.sleep(LOOK_SECONDS)


def without_ages(lines: list[str]) -> list[str]:
    return [" ".join(AGES.sub("", line).split()) for line in lines]
