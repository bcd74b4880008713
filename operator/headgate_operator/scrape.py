"""What pods say of themselves: readiness and counters on the operations port, and the golden prediction.

A pod is asked by its own address, never through a Service. An answer that is not a server's own report is evidence of
nothing: silence is never taken for a verdict on a model.
"""

import asyncio
import contextlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from headgate_operator import contract
from headgate_operator.core.observed import (
    Counters,
    Golden,
    GoldenFailed,
    GoldenPassed,
    GoldenUnknown,
    PodAddress,
    PodNotReady,
    PodReady,
    PodSilent,
    Readiness,
)
from headgate_operator.counters import read as read_counters

AT_ONCE = 32
LOOK_SECONDS = 2.0
GOLDEN_SECONDS = 15.0
LARGEST_LOOK = 1024 * 1024
LARGEST_PREDICTION = 8 * 1024 * 1024  # it is parsed between two renewals of the lease
# What status can hold: a longer word of a pod would make the API server refuse the whole status, for ever.
REASON = re.compile(r"[A-Za-z]{1,64}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# Busy, loading, going away or too slow just now: says nothing about the model.
NO_VERDICT = frozenset({429, 502, 503, 504})


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any


class NoAnswerError(Exception):
    """Refused, timed out, cut off, or not JSON."""


class PodProbe:
    """See `ports.Probe`."""

    def __init__(
        self,
        *,
        look_seconds: float = LOOK_SECONDS,
        golden_seconds: float = GOLDEN_SECONDS,
        scraped: Callable[[str], None] = lambda _outcome: None,
    ) -> None:
        self._look_seconds, self._golden_seconds, self._scraped = look_seconds, golden_seconds, scraped
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def readiness(self, pod: PodAddress) -> Readiness:
        try:
            answer = await self._ask("GET", pod.ip, pod.ops_port, contract.READY_PATH, seconds=self._look_seconds)
        except NoAnswerError as error:
            return PodSilent(str(error))
        return _readiness(answer)

    async def counters(self, pod: PodAddress) -> Counters | None:
        try:
            answer = await self._ask("GET", pod.ip, pod.ops_port, contract.COUNTERS_PATH, seconds=self._look_seconds)
        except NoAnswerError:
            self._scraped("no_answer")
            return None
        read = read_counters(answer.body) if answer.status == 200 else None
        self._scraped("unreadable" if read is None or read.traffic is None else "ok")
        return read

    async def golden(self, pod: PodAddress, body: bytes, *, version: str) -> Golden:
        try:
            answer = await self._ask(
                "POST", pod.ip, pod.http_port, contract.INVOCATIONS_PATH, body=body, seconds=self._golden_seconds
            )
        except NoAnswerError as error:
            return GoldenUnknown(str(error))
        return _golden(answer, version)

    async def _ask(
        self, method: str, ip: str, port: int, path: str, *, seconds: float, body: bytes | None = None
    ) -> Answer:
        host = f"[{ip}]" if ":" in ip else ip
        headers = {"Accept": "application/json"} | ({"Content-Type": "application/json"} if body is not None else {})
        # A prediction has no turn to wait for, and takes none from those who look: it is rationed where it is asked.
        async with self._turns if body is None else contextlib.nullcontext():
            try:
                async with self._open().request(
                    method,
                    f"http://{host}:{port}{path}",
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=seconds),
                ) as response:
                    raw = await _read(response, LARGEST_LOOK if body is None else LARGEST_PREDICTION)
                    told = {key.lower(): value for key, value in response.headers.items()}
            except TimeoutError:
                raise NoAnswerError("no answer in time") from None
            except (aiohttp.ClientError, OSError) as error:
                raise NoAnswerError(type(error).__name__) from None
        try:
            return Answer(response.status, told, json.loads(raw))
        except (ValueError, RecursionError):
            return Answer(response.status, told, None)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A new connection each time: a pod that drains waits for its open connections, ours included.
            connector = aiohttp.TCPConnector(limit=0, force_close=True)
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, largest: int) -> bytes:
    body = b""
    while more := await response.content.read(largest + 1 - len(body)):
        body += more
        if len(body) > largest:
            raise NoAnswerError(f"an answer of more than {largest // 1024**2} MiB")
    return body


def _readiness(answer: Answer) -> Readiness:
    body = answer.body
    if not isinstance(body, dict) or not isinstance(body.get("ready"), bool):
        return PodSilent(f"HTTP {answer.status}, but not of a headgate-server")
    if answer.status == 200 and body["ready"]:
        told = {key: str(body.get(key) or "") for key in ("model", "version", "revision", "digest", "golden")}
        # No digest would be one that all pods agree on.
        return PodReady(**told) if DIGEST.fullmatch(told["digest"]) else PodSilent("ready, but without a digest")
    if answer.status == 503 and not body["ready"]:
        # `permanent` is believed only where it is said plainly: it rejects a revision at once.
        permanent = body.get("permanent") is True
        message = str(body.get("message") or "")[:1024]
        reason = str(body.get("reason") or "Unknown")
        reason = reason if REASON.fullmatch(reason) else "Unknown"
        return PodNotReady(reason=reason, permanent=permanent, message=message)
    return PodSilent(f"HTTP {answer.status} contradicts its body")


def _golden(answer: Answer, version: str) -> Golden:
    if answer.status in NO_VERDICT:
        return GoldenUnknown(f"HTTP {answer.status}")
    if answer.status != 200:
        return GoldenFailed(f"the input example is answered with HTTP {answer.status}")
    told = answer.headers.get(contract.VERSION_HEADER, "")
    if told != version:
        return GoldenFailed(f"the answer is version {told or 'unknown'}'s, not version {version}'s")
    if not isinstance(answer.body, dict) or "predictions" not in answer.body:
        return GoldenFailed("the answer holds no predictions")
    if not _finite(answer.body["predictions"]):
        return GoldenFailed("the prediction for the input example is not finite")
    return GoldenPassed()


def _finite(value: Any) -> bool:
    """null stands for a number that JSON cannot write: NaN or infinity."""
    left = [value]  # not by recursion: a model decides how deeply its answer is nested
    while left:
        match left.pop():
            case None:
                return False
            case float(number) if not math.isfinite(number):
                return False
            case list(items):
                left.extend(items)
            case dict(items):
                left.extend(items.values())
    return True
