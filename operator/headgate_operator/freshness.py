"""Is the watch alive? Told by what it missed, not by what it says of itself.

A watch can die without an error and look healthy for ever. So now and then the live objects are listed: an object
whose present resourceVersion never arrives as an event, nor any later one, means that events are being lost.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from headgate_operator.ports import Obj

Name = tuple[str, str]


@dataclass
class _Kind:
    seen: dict[Name, tuple[str | None, float]] = field(default_factory=dict)  # last event: version (None: gone), when
    owed: dict[Name, tuple[str, float]] = field(default_factory=dict)  # listed, but not arrived: version, since
    heard_at: float | None = None
    relists: int = 0


class Freshness:
    """`clock` is monotonic."""

    def __init__(self, kinds: Iterable[str], *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._kinds = {kind: _Kind() for kind in kinds}

    def heard(self, kind: str, name: Name, version: str, *, gone: bool = False, listed: bool = False) -> None:
        """An event arrived (`listed`: as part of a new list, not of the stream)."""
        state = self._kinds[kind]
        state.heard_at = self._clock()
        state.relists += listed
        # Events of one object arrive in order, so this is the one we wait for, a later one, or one that was under way;
        # in the last case the next comparison finds the debt again.
        state.owed.pop(name, None)
        state.seen[name] = (None if gone else version, state.heard_at)

    def now(self) -> float:
        return self._clock()

    def compare(self, kind: str, live: Iterable[Obj], *, since: float) -> None:
        """A live list that was asked for at `since`. What the watch has not told yet is owed from here on.

        An object of which something was heard since may be newer than the list: taken for a debt, it would never be
        paid, and a healthy leader would be killed for it. The next comparison judges it.
        """
        state, now = self._kinds[kind], self._clock()
        listed: set[Name] = set()
        for obj in live:
            meta = obj["metadata"]
            name, version = (meta["namespace"], meta["name"]), meta["resourceVersion"]
            listed.add(name)
            told, heard_at = state.seen.get(name, (None, None))
            if heard_at is not None and heard_at >= since:
                continue
            if told == version:
                state.owed.pop(name, None)
            elif name not in state.owed:
                state.owed[name] = (version, now)
        for name in state.owed.keys() - listed:
            del state.owed[name]  # deleted since: its event may well have been the one we missed, but it owes no more
        for name in state.seen.keys() - listed:
            if state.seen[name][1] < since:
                del state.seen[name]  # deleted, whether or not an event told us so

    def behind_seconds(self, kind: str) -> float:
        """For how long the watch has owed us its oldest event; 0 = it is up to date."""
        owed = self._kinds[kind].owed
        return self._clock() - min(since for _, since in owed.values()) if owed else 0.0

    def silent_seconds(self, kind: str) -> float | None:
        """Since the last event; None = never one. Silence alone is no fault: nothing may have happened."""
        heard_at = self._kinds[kind].heard_at
        return None if heard_at is None else self._clock() - heard_at

    def listed_total(self, kind: str) -> int:
        return self._kinds[kind].relists

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self._kinds)
