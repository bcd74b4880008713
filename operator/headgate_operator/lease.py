"""Who leads: a Lease, held by renewing it, taken when its holder has been silent for its whole duration.

Silence is measured by our own steady clock since we last saw the record change, never by comparing two machines'
clocks, so a wrong wall clock on either side cannot make two leaders. A renewal counts from before its request was
sent: whatever the others saw, they saw it later. No fencing exists in Kubernetes; preconditions on every write are
the fence, and `may_write` keeps the window small: it turns false at the renew deadline, before anyone may take over.
A write begun before may take `write_seconds`, no longer: we stop waiting for it before another may lead. Only a server
that carries out what its client has given up can still be later than that.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from headgate_operator.ports import ConflictError, Key, Obj, RefusedError

log = logging.getLogger(__name__)

KIND = "Lease"
WRITE_MARGIN = 2.0  # between the end of a leader's last write and another's first


@dataclass(frozen=True)
class Timing:
    """`renew_deadline` + `request_timeout` < `duration`: the last request of a leader ends before another begins."""

    duration: float = 15.0
    renew_deadline: float = 10.0
    period: float = 2.0
    request_timeout: float = 3.0


@dataclass(frozen=True)
class Wait:
    """Somebody else leads: look again in `seconds`."""

    seconds: float


@dataclass(frozen=True)
class Acquire:
    """Nobody leads: take it (create the record where there is none)."""


@dataclass(frozen=True)
class Renew:
    """It is ours."""


class LeaseLostError(Exception):
    """We may not lead any longer. Whatever is under way must stop."""


class Leases(Protocol):
    """What the elector needs of the API server. `ConflictError` = the record changed; other errors = try again."""

    async def get(self, kind: str, namespace: str, name: str) -> Obj | None: ...

    async def create(self, obj: Obj) -> Obj: ...

    async def replace(self, obj: Obj) -> Obj:
        """With the resourceVersion that `obj` carries."""
        ...


def decide(lease: Obj | None, me: str, *, seen_unchanged: float, timing: Timing) -> Acquire | Renew | Wait:
    """What to do about a record that we have seen unchanged for `seen_unchanged` seconds of our own clock."""
    if lease is None:
        return Acquire()
    spec = lease.get("spec") or {}
    holder = spec.get("holderIdentity") or ""
    if holder == me:
        return Renew()
    if not holder:
        return Acquire()
    # The holder's own duration counts where it is the longer one: it was promised that time.
    duration = max(float(spec.get("leaseDurationSeconds") or 0), timing.duration)
    left = duration - seen_unchanged
    return Acquire() if left <= 0 else Wait(min(timing.period, left))


class Elector:
    """Use in this order: `acquire`, then `hold` beside the work; after the work has stopped, `release`."""

    def __init__(
        self,
        leases: Leases,
        *,
        lease: Key,
        me: str,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        timing: Timing | None = None,
    ) -> None:
        self._leases, self._key, self._me, self._clock, self._now = leases, lease, me, clock, now
        self._timing = timing or Timing()
        self._lease: Obj | None = None
        self._changed_at = clock()
        self._renewed_at: float | None = None
        self._trouble = ""
        self.refused = ""  # the API server's words, where it forbids us the record: no time mends that

    def may_write(self) -> bool:
        """Whether a write may be started now."""
        return self._renewed_at is not None and self._clock() - self._renewed_at < self._timing.renew_deadline

    def write_seconds(self) -> float:
        """How long a write that is started now may take, to end before another may lead; 0 = it must not be started."""
        if self._renewed_at is None or not self.may_write():
            return 0.0
        return self._timing.duration - WRITE_MARGIN - (self._clock() - self._renewed_at)

    async def acquire(self) -> None:
        """Returns when the lease is ours, however long that takes."""
        while True:
            if await self._attempt():
                break
            await asyncio.sleep(self._pause())
        log.info("leading", extra={"identity": self._me})

    async def hold(self) -> None:
        """Renews until that fails for too long or another holds the lease: then `LeaseLostError`."""
        while True:
            await asyncio.sleep(self._timing.period)
            await self._attempt()
            if not self.may_write():
                self._renewed_at = None
                raise LeaseLostError(f"{self._me} no longer holds the lease")

    async def release(self) -> None:
        """Let a standby take over at once. Only after every worker has stopped; best effort."""
        if self._renewed_at is None or self._lease is None:
            return
        self._renewed_at = None
        spec = {**self._spec(self._lease), "holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(self._timing.request_timeout):
                await self._leases.replace({**self._lease, "spec": spec})
        except Exception as error:  # noqa: BLE001 - the lease runs out by itself
            log.warning("lease not released", extra={"error": str(error)})

    async def _attempt(self) -> bool:
        """Take or renew the lease if it may be; whether it is ours now."""
        began = self._clock()
        try:
            async with asyncio.timeout(self._timing.request_timeout):
                taken = await self._take(began)
            self.refused = ""
            self._tell("")
            return taken
        except ConflictError:
            # Either another was faster, or an earlier request of ours was committed and its reply lost.
            # The next attempt reads the record and knows.
            self._lease = None
        except Exception as error:  # noqa: BLE001 - any failure to reach the record counts alike: it is not renewed
            self.refused = str(error) if isinstance(error, RefusedError) else ""
            self._tell(str(error) or type(error).__name__)
        return False

    def _tell(self, trouble: str) -> None:
        """Once for each new trouble and once when it is over, not for each attempt."""
        if trouble and trouble != self._trouble:
            log.warning("lease request failed", extra={"error": trouble})
        elif self._trouble and not trouble:
            log.info("lease requests succeed again")
        self._trouble = trouble

    async def _take(self, began: float) -> bool:
        # A holder renews over its last known record (one request); only a doubt makes it read.
        if self._renewed_at is None or self._lease is None:
            self._observe(await self._leases.get(KIND, self._key.namespace, self._key.name))
        unchanged = self._clock() - self._changed_at
        decision = decide(self._lease, self._me, seen_unchanged=unchanged, timing=self._timing)
        if isinstance(decision, Wait):
            self._renewed_at = None
            return False
        if self._lease is None:
            meta = {"namespace": self._key.namespace, "name": self._key.name}
            record = {"apiVersion": "coordination.k8s.io/v1", "kind": KIND, "metadata": meta}
            written = await self._leases.create({**record, "spec": self._spec(None)})
        else:
            written = await self._leases.replace({**self._lease, "spec": self._spec(self._lease)})
        self._observe(written)
        self._renewed_at = began
        return True

    def _observe(self, lease: Obj | None) -> None:
        if _version(lease) != _version(self._lease):
            self._changed_at = self._clock()
        self._lease = lease

    def _spec(self, lease: Obj | None) -> Obj:
        old = (lease or {}).get("spec") or {}
        now = self._now().astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        ours = old.get("holderIdentity") == self._me
        return {
            "holderIdentity": self._me,
            "leaseDurationSeconds": round(self._timing.duration),
            "acquireTime": old.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (0 if ours or lease is None else 1),
        }

    def _pause(self) -> float:
        unchanged = self._clock() - self._changed_at
        decision = decide(self._lease, self._me, seen_unchanged=unchanged, timing=self._timing)
        return decision.seconds if isinstance(decision, Wait) else self._timing.period


def _version(lease: Obj | None) -> str:
    return str(((lease or {}).get("metadata") or {}).get("resourceVersion", ""))
