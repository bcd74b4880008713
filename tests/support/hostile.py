"""A client that means harm: raw bytes on raw sockets, and a look at the memory of the server it asks."""

import resource
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server_process import DEADLINE, ServerProcess

ROW = b'{"features":[5.1,3.5,1.4,0.2]}'
MIB = 1 << 20


def request(body: bytes = ROW, *fields: str, path: str = "/predict", length: int | None = None) -> bytes:
    """A POST; a length of -1 = the fields say it themselves."""
    said = len(body) if length is None else length
    lines = [f"POST {path} HTTP/1.1", "host: x", "content-type: application/json", *fields]
    lines += [f"content-length: {said}"] if said >= 0 else []
    return "\r\n".join([*lines, "", ""]).encode() + body


def good(server: ServerProcess) -> tuple[int, int]:
    """What the next good request and the next probe are answered with."""
    return (server.post("/predict", ROW).status, server.request("GET", "/livez", port=server.ops_port).status)


class Connection:
    """A connection on which anything may be said."""

    def __init__(self, server: ServerProcess, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(("127.0.0.1", server.port))

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        # A reset, so that thousands of them leave nothing behind that waits for a minute.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def say(self, data: bytes) -> bool:
        """Whether the other side took it all."""
        try:
            self.socket.sendall(data)
        except OSError:
            return False
        return True

    def status(self) -> int:
        """Of the next answer; 0 = the connection ended without one."""
        head = self._until(b"\r\n\r\n")
        if not head:
            return 0
        lines = head.decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
        left = int(fields.get("content-length", "0"))
        while left:
            left -= len(self.socket.recv(min(left, MIB)))
        return int(lines[0].split()[1])

    def rest(self) -> bytes:
        """All that still comes, to the end of the connection."""
        made = b""
        try:
            while got := self.socket.recv(MIB):
                made += got
        except ConnectionResetError:
            pass
        return made

    def _until(self, end: bytes) -> bytes:
        made = b""
        try:
            while not made.endswith(end) and (got := self.socket.recv(1)):
                made += got
        except ConnectionResetError:
            return b""
        return made


@contextmanager
def connections(server: ServerProcess, count: int) -> Iterator[list[Connection]]:
    made: list[Connection] = []
    try:
        while len(made) < count:
            made.append(Connection(server))
        yield made
    finally:
        for connection in made:
            connection.__exit__()


def descriptors(wanted: int) -> int:
    """How many of them this process may open: as many as wanted, or as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    return allowed


def memory(server: ServerProcess) -> float:
    """MiB that it has resident."""
    return _of(server, "VmRSS")


@contextmanager
def grown(server: ServerProcess, at_most: float) -> Iterator[None]:
    """While this goes on, the server never has so many MiB more than before."""
    Path(f"/proc/{server.pid}/clear_refs").write_text("5", encoding="ascii")
    before = memory(server)
    yield
    more = _of(server, "VmHWM") - before
    assert more <= at_most, f"{more:.0f} MiB more than {before:.0f}"


def _of(server: ServerProcess, field: str) -> float:
    for line in Path(f"/proc/{server.pid}/status").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise LookupError(field)
