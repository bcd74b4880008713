"""Own loopback addresses for pods and Services: 127.<block>.0.0/16, lower half pods, upper half Services.

Every plane on a machine takes a block of its own, so that two planes (or two test runs) never meet on one address.
The whole of 127.0.0.0/8 is local on Linux without any set-up; that is why the plane runs on Linux only.
"""

from __future__ import annotations

import socket
from collections.abc import Hashable
from dataclasses import dataclass, field

# On a Service: where its ports listen, as host:port, comma separated.
ADDRESS_ANNOTATION = "local.headgate.dev/address"
FIRST_BLOCK, LAST_BLOCK = 64, 250
_HALF = 128 * 256
_PRIVILEGED = 1024
_SHIFT = 8000


class NoAddressLeftError(RuntimeError):
    """All addresses of a half, or all blocks of the machine, are in use."""


def listening_port(port: int) -> int:
    """Where a Service port listens: below 1024 needs root, so such a port is found 8000 higher."""
    return port + _SHIFT if port < _PRIVILEGED else port


@dataclass
class _Half:
    prefix: int
    offset: int
    taken: dict[Hashable, int] = field(default_factory=dict)
    last: int = 0

    def take(self, owner: Hashable) -> str:
        if owner not in self.taken:
            self.taken[owner] = self._next()
        return self._text(self.taken[owner])

    def give_back(self, owner: Hashable) -> None:
        self.taken.pop(owner, None)

    def _next(self) -> int:
        # Round robin: an address just given back may still be in somebody's connection pool or scrape list.
        used = set(self.taken.values())
        for step in range(1, _HALF):
            number = (self.last + step - 1) % (_HALF - 2) + 1
            if number not in used:
                self.last = number
                return number
        raise NoAddressLeftError("no loopback address left in this block")

    def _text(self, number: int) -> str:
        host = self.offset + number
        return f"127.{self.prefix}.{host >> 8}.{host & 255}"


class Addresses:
    def __init__(self, block: int = FIRST_BLOCK) -> None:
        self.block = block
        self.pods = _Half(block, 0)
        self.services = _Half(block, _HALF)

    def is_service_address(self, text: str) -> bool:
        octets = text.split(".")
        return octets[:2] == ["127", str(self.block)] and len(octets) == 4 and int(octets[2]) >= 128


class ReservedBlock:
    """A block nobody else on this machine uses: held by an abstract socket, which the kernel frees with the process."""

    def __init__(self) -> None:
        for block in range(FIRST_BLOCK, LAST_BLOCK + 1):
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                lock.bind(f"\0headgate-local-127.{block}")
            except OSError:
                lock.close()
                continue
            self.block, self._lock = block, lock
            return
        raise NoAddressLeftError(f"all blocks 127.{FIRST_BLOCK} to 127.{LAST_BLOCK} are in use by other planes")

    def release(self) -> None:
        self._lock.close()
