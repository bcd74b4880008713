"""The addresses, taken before anything heavy is imported: by the one process, or by the parent of several."""

import socket
from typing import Final

BACKLOG: Final = 2048


def bound(host: str, port: int) -> socket.socket:
    """A listening address taken early, so that a busy port ends the process before anything is loaded."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((host, port))
        made.listen(BACKLOG)  # a probe that comes before the loop turns waits instead of being refused
    except OSError:
        made.close()
        raise
    return made
