"""What a person sees: one line an event with the time since the start, and where the wait is while there is one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

PLAIN_EVERY_SECONDS = 5.0


class Timeline:
    """Prints the story as it happens. On a terminal the present wait is a live line, elsewhere a line every 5 s."""

    def __init__(self, console: Console, *, live: Callable[[], str] = lambda: "") -> None:
        self.console = console
        self.live = live
        self.chapters: list[tuple[str, float]] = []  # what they are called, and when they began
        self._start = time.monotonic()

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def chapter(self, text: str) -> None:
        self.chapters.append((text, self.seconds))
        self.console.print(f"\n[bold]{text}[/bold]", soft_wrap=True, highlight=False)

    def event(self, text: str) -> None:
        self.console.print(f"[dim]{self.seconds:6.1f} s[/dim]  {text}", highlight=False, soft_wrap=True)

    @contextmanager
    def waiting(self, text: str) -> Iterator[Callable[[], None]]:
        """While inside, shows what is waited for; the yielded function is called once a look."""
        if self.console.is_terminal:
            with self.console.status(text) as status:
                yield lambda: status.update(self._progress(text))
            return
        printed = time.monotonic()

        def tick() -> None:
            nonlocal printed
            if time.monotonic() - printed >= PLAIN_EVERY_SECONDS:
                printed = time.monotonic()
                self.event(f"... {self._progress(text)}")

        yield tick

    def durations(self) -> dict[str, float]:
        """Seconds of each chapter; the last one lasts until now."""
        ends = [began for _, began in self.chapters[1:]] + [self.seconds]
        return {text: round(end - began, 1) for (text, began), end in zip(self.chapters, ends, strict=True)}

    def table(self, title: str, columns: list[str], rows: list[list[str]]) -> None:
        table = Table(title=title, title_justify="left")
        for column in columns:
            table.add_column(column)
        for row in rows:
            table.add_row(*row)
        self.console.print()
        self.console.print(table)

    def _progress(self, text: str) -> str:
        live = self.live()
        return f"{text}  [dim]{live}[/dim]" if live else text
