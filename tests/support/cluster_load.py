"""The load of the end-to-end tests: from inside the cluster on the ClusterIP, from outside on the NodePort.

Both are tests/cluster/load/steady.py: one in a pod, by the Service's DNS name, and one as a process of this machine.
Counting begins once each of them has had a good answer on each kind of connection: kube-proxy needs a moment after the
first pod is Ready.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import requests

from cluster_pods import SCRIPTS, ScriptPod
from kube_wire import Wire

Obj = dict[str, Any]
T = TypeVar("T")

SCRIPT = SCRIPTS / "steady.py"
PORT = 9000
START_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """One request: times in seconds since 1970, who answered it, and why it was lost if it was."""

    place: str
    began: float
    ended: float
    pooled: bool
    version: str
    lost: str


class Place(Protocol):
    """Where one of the loads runs."""

    name: str

    def start(self) -> None: ...

    def ask(self, path: str) -> Obj: ...

    def end(self) -> None: ...


class Load:
    """All requests from all places. `refresh` fetches what is new; everything else only looks at what is known."""

    def __init__(self, places: list[Place]) -> None:
        self._places = places
        self._known: dict[str, list[Answer]] = {place.name: [] for place in places}
        self._sent: dict[str, int] = {}
        self.counted_from = 0.0

    def __enter__(self) -> Self:
        try:
            for place in self._places:
                place.start()
            self.until(self._everywhere_answered, "each load has had an answer on each kind of connection")
        except BaseException:
            self._end()
            raise
        self.counted_from = time.time()
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.stop()
        finally:
            self._end()

    def _end(self) -> None:
        for place in self._places:
            place.end()

    def stop(self) -> None:
        """Send nothing more, and wait for the answers still under way."""
        for place in self._places:
            place.ask("/stop")
        self.until(lambda: all(len(self._known[name]) == sent for name, sent in self._sent.items()), "the last answers")

    def refresh(self) -> None:
        for place in self._places:
            known = self._known[place.name]
            told = place.ask(f"/answers?from={len(known)}")
            self._sent[place.name] = int(told["sent"])
            known += [Answer(place.name, *values) for values in told["answers"]]

    def until(self, met: Callable[[], T | None], what: str, *, within: float = START_SECONDS) -> T:
        """Looks at the newest answers until `met()`."""
        end = time.monotonic() + within
        while True:
            self.refresh()
            if seen := met():
                return seen
            assert time.monotonic() < end, f"not within {within:.0f} s: {what}\n{self.told()}"
            time.sleep(0.2)

    # -- what is known --------------------------------------------------------------------------------------

    @property
    def answers(self) -> list[Answer]:
        """Those that count."""
        return [a for known in self._known.values() for a in known if a.began >= self.counted_from]

    @property
    def lost(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.lost]

    def by_version(self) -> dict[str, int]:
        return dict(sorted(Counter(a.version for a in self.answers if not a.lost).items()))

    def last_of(self, version: str, *, since: float, until: float, pooled: bool = False) -> float | None:
        """When the last request that this version answered was sent, of those sent in that time."""
        good = [a for a in self.answers if a.version == version and a.pooled is pooled and not a.lost]
        return max((a.began for a in good if since <= a.began < until), default=None)

    def newest(self, place: str, *, pooled: bool, count: int) -> list[Answer]:
        """The answers to the requests sent last, whichever version gave them and whether good or not."""
        known = [a for a in self._known[place] if a.pooled is pooled and a.version]
        return sorted(known, key=lambda a: a.began)[-count:]

    def answered_by(self, version: str, *, pooled: bool, count: int = 20) -> bool:
        """Whether, in each place, the last `count` answers were all this version's. Failures of another version count:
        without them one that fails for most inputs seems to be gone while it still has its share."""
        for place in self._known:
            newest = self.newest(place, pooled=pooled, count=count)
            if len(newest) < count or {a.version for a in newest} != {version}:
                return False
        return True

    def goes_on(self, count: int = 40) -> None:
        """In each place so many more requests are sent from now on, and answered or lost."""
        since = time.time()
        self.until(
            lambda: all(sum(a.began >= since for a in known) >= count for known in self._known.values()),
            f"{count} more requests in each place",
        )

    def told(self) -> str:
        known = [a for answers in self._known.values() for a in answers]
        lost = Counter((a.place, "pool" if a.pooled else "fresh", a.lost) for a in known if a.lost)
        newest = {place: [(a.version, a.lost) for a in answers[-5:]] for place, answers in self._known.items()}
        return (
            f"{len(known)} answers, {self.by_version()} by version, lost: {dict(lost)}, newest: {newest}\n"
            f"{listed(answer for answer in known if answer.lost)}"
        )

    def _everywhere_answered(self) -> bool:
        return all(
            any(a.pooled is pooled and not a.lost for a in known)
            for known in self._known.values()
            for pooled in (True, False)
        )


def listed(answers: Iterable[Answer], most: int = 60) -> str:
    """A line for each, in the order of their sending."""

    def at(when: float) -> str:
        return datetime.fromtimestamp(when, UTC).strftime("%H:%M:%S.%f")[:-3]

    def line(a: Answer) -> str:
        how = "pooled" if a.pooled else "fresh"
        return f"{at(a.began)} to {at(a.ended)}, from {a.place}, {how}, version {a.version or 'unknown'}: {a.lost}"

    lines = [line(answer) for answer in sorted(answers, key=lambda a: a.began)]
    return "\n".join([*lines[:most], *([f"and {len(lines) - most} more"] if len(lines) > most else [])])


class InAPod:
    """A load inside the cluster; its account is read through the API server's proxy for pods."""

    name = "pod"

    def __init__(
        self, wire: Wire, namespace: str, image: str, url: str, plan: Mapping[str, Any], *options: str
    ) -> None:
        self._wire = wire
        arguments = (url, "{plan}", f"--port={PORT}", *options)
        self._pod = ScriptPod(wire, namespace, image, SCRIPT.name, plan, *arguments, port=PORT)

    def start(self) -> None:
        self._pod.start()

    def ask(self, path: str) -> Obj:
        return self._wire.read(f"{self._pod.path}:{PORT}/proxy{path}")

    def end(self) -> None:
        self._pod.end()


class OnTheMachine:
    """A load outside the cluster."""

    name = "machine"

    def __init__(self, folder: Path, port: int, url: str, plan: Mapping[str, Any], *options: str) -> None:
        self._folder, self._port, self._url, self._plan, self._options = folder, port, url, plan, options
        self._process: subprocess.Popen[bytes] | None = None
        self._session = requests.Session()
        self._session.trust_env = False

    def start(self) -> None:
        plan = self._folder / f"plan-{self._port}.json"
        plan.write_text(json.dumps(self._plan), encoding="utf-8")
        command = [sys.executable, str(SCRIPT), self._url, str(plan), "--host=127.0.0.1", f"--port={self._port}"]
        with (self._folder / "load.log").open("ab") as log:
            self._process = subprocess.Popen([*command, *self._options], stdout=log, stderr=log)

    def ask(self, path: str) -> Obj:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                answer = self._session.get(f"http://127.0.0.1:{self._port}{path}", timeout=10)
            except requests.ConnectionError:  # it has only just been started
                assert time.monotonic() < end, "the load on this machine does not start"
                time.sleep(0.1)
                continue
            answer.raise_for_status()
            return dict(answer.json())

    def end(self) -> None:
        self._session.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
