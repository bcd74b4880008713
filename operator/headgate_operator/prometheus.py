"""Prometheus over its HTTP API: instant queries, and nothing else. Never raises (cancellation apart).

Only addresses that the operator's administrator listed are asked; no redirects are followed, and no part of an answer's
body gets into a message, since messages end up in a tenant's status.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import aiohttp

from headgate_operator.core.observed import Pod
from headgate_operator.egress import AllowList, GuardedResolver, NotAllowedError
from headgate_operator.feeds.series import Sample, query, traffic_by_pod

SECONDS = 3.0
AT_ONCE = 16
LARGEST = 8 * 1024 * 1024  # it is parsed between two renewals of the lease
ERROR_TYPES = frozenset({"bad_data", "execution", "timeout", "canceled", "internal", "unavailable", "not_found"})


@dataclass(frozen=True, slots=True)
class Trouble:
    """No usable answer: evidence of nothing."""

    why: str


Answer = tuple[Sample, ...] | Trouble


class _TroubleError(Exception):
    pass


class Prometheus:
    def __init__(self, allowed: AllowList, *, seconds: float = SECONDS) -> None:
        self._allowed, self._seconds = allowed, seconds
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def instant(self, uri: str | None, promql: str) -> Answer:
        """At this moment, by Prometheus' own clock. `uri` None: the only one that the operator knows."""
        try:
            address = self._allowed.check(uri)
        except NotAllowedError as error:
            return Trouble(str(error))
        try:
            async with self._turns:
                return _samples(*await self._ask(address, promql))
        except _TroubleError as error:
            return Trouble(f"{address} {error}")

    async def count(
        self, uri: str | None, namespace: str, pods: Iterable[Pod], revisions: Iterable[str]
    ) -> tuple[Pod, ...] | Trouble:
        """The pods of these revisions, with what Prometheus last scraped of them."""
        wanted = set(revisions)
        asked = [pod for pod in pods if pod.revision in wanted]
        answer = await self.instant(uri, query(wanted))
        if isinstance(answer, Trouble):
            return answer
        told = traffic_by_pod(answer, namespace, asked)
        return tuple(replace(pod, traffic=told.get(pod.uid)) for pod in asked)

    async def _ask(self, address: str, promql: str) -> tuple[int, bytes]:
        try:
            # By POST: a query may be longer than what servers and proxies take for an address.
            async with self._open().post(
                f"{address}/api/v1/query",
                data={"query": promql, "timeout": f"{self._seconds:g}s"},
                headers={"Accept": "application/json"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._seconds),
            ) as response:
                body = await response.content.read(LARGEST + 1)
                while len(body) <= LARGEST and (more := await response.content.read(LARGEST + 1 - len(body))):
                    body += more
        except TimeoutError:
            raise _TroubleError("does not answer in time") from None
        except aiohttp.ClientSSLError:
            raise _TroubleError("shows a certificate that is not trusted") from None
        except aiohttp.ClientConnectorDNSError:
            raise _TroubleError(
                "has a host name that cannot be resolved, or not to an address that is allowed"
            ) from None
        except (aiohttp.ClientError, OSError):
            raise _TroubleError("does not accept connections, or breaks off in mid answer") from None
        if len(body) > LARGEST:
            raise _TroubleError("answers more than is sensible")
        return response.status, body

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=AT_ONCE, resolver=GuardedResolver())
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _samples(status: int, raw: bytes) -> tuple[Sample, ...]:
    if 300 <= status < 400:
        raise _TroubleError(f"redirects (HTTP {status}), which is not followed")
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError):
        body = None
    if isinstance(body, dict) and body.get("status") == "error" and body.get("errorType") in ERROR_TYPES:
        raise _TroubleError(f"does not run the query ({body['errorType']})")
    if status != 200:
        raise _TroubleError(f"answers HTTP {status}")
    try:
        if body["status"] != "success":
            raise _not_ours()
        if body.get("warnings"):  # of a store that did not answer, for one: a part of a sum is no sum
            raise _TroubleError("says that its answer may not be whole (a warning)")
        return _result(body["data"]["resultType"], body["data"]["result"])
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, OverflowError):
        raise _not_ours() from None


def _result(kind: Any, result: Any) -> tuple[Sample, ...]:
    match kind:
        case "vector":
            return tuple(_sample(item["metric"], item["value"]) for item in result)
        case "scalar":
            return (_sample({}, result),)
        case _:
            raise _TroubleError("gives a range or a text for this query, and one moment's numbers are wanted")


def _sample(labels: Any, pair: Any) -> Sample:
    at, value = pair
    named = {str(name): str(told) for name, told in labels.items()}
    return Sample(named, float(value), float(at))


def _not_ours() -> _TroubleError:
    return _TroubleError("answers, but not as a Prometheus")
