"""How many bytes of bodies the requests under way hold together: one body has a limit, and so have all of them.

A request holds its body from the first byte to its answer: read, waiting for the model, or as the model's input. The
first bytes of each stand on a shelf of their own, so that whoever fills the other one with large bodies that never end
is no obstacle to small requests.
"""

from types import TracebackType
from typing import Final, Self

from headgate_server.protocols.failures import RequestFailed

BODIES: Final = 8  # of the greatest length allowed
SMALL: Final = 64 << 10
LEAST: Final = 16 << 20


class Shelf:
    """All bodies of the process."""

    def __init__(self, max_body_bytes: int) -> None:
        self.most = max(LEAST, BODIES * max_body_bytes)
        self.small = 0
        self.large = 0

    def fits(self, small: int, large: int) -> bool:
        """Whether there is room for so much more. Nothing is never refused."""
        return not (small and self.small + small > self.most) and not (large and self.large + large > self.most)


class Place:
    """One request's place on the shelf, given back at the end of the block."""

    __slots__ = ("_large", "_shelf", "_small")

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._small = self._large = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.give_back()

    def give_back(self) -> None:
        self._shelf.small -= self._small
        self._shelf.large -= self._large
        self._small = self._large = 0

    def expect(self, size: int) -> None:
        """RequestFailed with 429 where so much could not be held now. It is not reserved: a client may promise much
        and send nothing."""
        small = min(size, SMALL - self._small)
        if not self._shelf.fits(small, size - small):
            message = "the bodies of other requests take all room"
            raise RequestFailed(429, "overloaded", message, headers={"retry-after": "1"})

    def take(self, size: int) -> None:
        """Hold so much more, or RequestFailed with 429."""
        shelf = self._shelf
        if self._small + size <= SMALL and shelf.small + size <= shelf.most:  # most bodies
            shelf.small += size
            self._small += size
            return
        self.expect(size)
        small = min(size, SMALL - self._small)
        self._shelf.small += small
        self._shelf.large += size - small
        self._small += small
        self._large += size - small
