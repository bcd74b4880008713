"""What pods say of themselves: readiness and counters on the operations port, and the golden prediction.

A pod is asked by its own address, never through a Service. An answer that is not a server's own report is evidence of
nothing: silence is never taken for a verdict on a model.
"""

import asyncio
import json
import math
from collections.abc import Mapping
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

AT_ONCE = 32
LOOK_SECONDS = 2.0
GOLDEN_SECONDS = 15.0
LARGEST = 16 * 1024 * 1024
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

    def __init__(self, *, look_seconds: float = LOOK_SECONDS, golden_seconds: float = GOLDEN_SECONDS) -> None:
        self._look_seconds, self._golden_seconds = look_seconds, golden_seconds
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
            return None
        return _counters(answer)

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
        async with self._turns:
            try:
                async with self._open().request(
                    method,
                    f"http://{host}:{port}{path}",
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    timeout=aiohttp.ClientTimeout(total=seconds),
                ) as response:
                    raw = await _read(response)
                    told = {key.lower(): value for key, value in response.headers.items()}
            except TimeoutError:
                raise NoAnswerError("no answer in time") from None
            except (aiohttp.ClientError, OSError) as error:
                raise NoAnswerError(type(error).__name__) from None
        try:
            return Answer(response.status, told, json.loads(raw))
        except ValueError:
            return Answer(response.status, told, None)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            # A new connection each time: a pod that drains waits for its open connections, ours included.
            connector = aiohttp.TCPConnector(limit=AT_ONCE, force_close=True)
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = b""
    while more := await response.content.read(LARGEST + 1 - len(body)):
        body += more
        if len(body) > LARGEST:
            raise NoAnswerError("an answer of more than 16 MiB")
    return body


def _readiness(answer: Answer) -> Readiness:
    body = answer.body
    if not isinstance(body, dict) or not isinstance(body.get("ready"), bool):
        return PodSilent(f"HTTP {answer.status}, but not of a headgate-server")
    if answer.status == 200 and body["ready"]:
        told = {key: str(body.get(key) or "") for key in ("model", "version", "revision", "digest", "golden")}
        return PodReady(**told)
    if answer.status == 503 and not body["ready"]:
        # `permanent` is believed only where it is said plainly: it rejects a revision at once.
        permanent = body.get("permanent") is True
        message = str(body.get("message") or "")[:1024]
        return PodNotReady(reason=str(body.get("reason") or "Unknown"), permanent=permanent, message=message)
    return PodSilent(f"HTTP {answer.status} contradicts its body")


def _counters(answer: Answer) -> Counters | None:
    try:
        body = answer.body
        age = body["last_request_age_seconds"]
        return Counters(
            in_flight=int(body["in_flight"]),
            open_connections=int(body["open_connections"]),
            last_request_age_seconds=None if age is None else float(age),
        )
    except (KeyError, TypeError, ValueError):
        return None


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
    match value:
        case None:
            return False
        case float():
            return math.isfinite(value)
        case list():
            return all(_finite(item) for item in value)
        case dict():
            return all(_finite(item) for item in value.values())
        case _:
            return True
