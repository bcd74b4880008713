"""More connections than the process has room for: whoever waits the longest without a request makes room.

Every connection takes a file descriptor, and a process without one answers neither probes nor clients: held open and
idle they would shut a server down without a single request. Part of the descriptors is kept for everything else.
"""

import resource
from collections.abc import Collection
from typing import Final, Protocol

# Kept for the operations port, files, the registry and the model; or half of all, where there are few.
OTHERS: Final = 256
# Some systems allow a billion, and what is sized by that number takes all memory.
MOST_DESCRIPTORS: Final = 65_536
# Made free at a time: each time, all connections are looked at.
SHARE: Final = 16


class Member(Protocol):
    """A connection as the crowd sees it."""

    @property
    def since(self) -> float | None:
        """Since when it waits without a request; None = it has one."""

    def leave(self) -> None:
        """End it, now."""


def most_connections() -> int:
    """How many connections there is room for, after this process has asked for all descriptors that it may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        soft = allowed
    own = MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else min(soft, MOST_DESCRIPTORS)
    return max(own - OTHERS, own // 2)


def made_room(members: Collection[Member], newest: Member) -> bool:
    """Whether somebody could be sent away for the newest: those without a request, the longest wait first."""
    waiting = [(member.since, member) for member in members if member is not newest and member.since is not None]
    waiting.sort(key=lambda pair: pair[0])
    for _, member in waiting[: max(1, len(members) // SHARE)]:
        member.leave()
    return bool(waiting)
