"""How far a download is, as a line of the log every few seconds: a large model is minutes of silence otherwise."""

import time
from typing import Final

from headgate_server import logs

SECONDS: Final = 5.0


class Progress:
    """Counts the bytes of one download; `total` is what the registry's listing says."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._told = time.monotonic()

    def add(self, count: int) -> None:
        """Bytes that came; a negative count takes back those of a file that is begun anew."""
        self._done += count
        now = time.monotonic()
        if now - self._told >= SECONDS:
            self._told = now
            percent = round(100 * self._done / self._total) if self._total else None
            logs.event("download under way", bytes=self._done, of=self._total, percent=percent)
