"""Printing: with colours and in place on a terminal, plain and only what changed elsewhere."""

import re
import time
from collections.abc import Callable

from rich.console import Console
from rich.highlighter import RegexHighlighter
from rich.live import Live
from rich.text import Text
from rich.theme import Theme

LOOK_SECONDS = 1.0
# Words that grow by themselves: "5s", "3m ago". Without a terminal they are no reason to print again.
AGES = re.compile(r"\b\d+[smhd]\b")

GOOD = "AsWanted|Promoted|True|Accepted|Resolved|Serving"
BAD = "RolledBack|FirstRolloutFailed|NameConflict|InvalidSpec|Stalled|Refused|NoReadyPods"


class Words(RegexHighlighter):
    base_style = "headgate."
    highlights = [
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


def watch(look: Callable[[], list[str]]) -> None:
    """Until interrupted."""
    out = console()
    try:
        if out.is_terminal:
            _in_place(out, look)
        else:
            _as_log(look)
    except KeyboardInterrupt:
        return


def _in_place(out: Console, look: Callable[[], list[str]]) -> None:
    with Live(console=out, auto_refresh=False) as live:
        while True:
            live.update(Text("\n").join(Words()(line) for line in look()), refresh=True)
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
