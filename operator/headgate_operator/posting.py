"""One POST to somebody else's address: no redirect, no proxy, no cookie, and never more of the answer than is sensible.

Errors are told in our own words: an address may be a secret (Slack's are), and what a stranger answers may end up in a
tenant's status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from headgate_operator.egress import GuardedResolver

LARGEST = 64 * 1024
AT_ONCE = 16
CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Posted:
    status: int
    body: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300


class NotPostedError(Exception):
    """No answer; the message does not name the address."""


class Poster:
    """`guarded` = refuse names that lead to this machine or to link-local addresses (every address of a tenant's)."""

    def __init__(self, *, guarded: bool) -> None:
        self._guarded = guarded
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str], *, seconds: float) -> Posted:
        timeout = aiohttp.ClientTimeout(total=seconds, connect=min(seconds, CONNECT_SECONDS))
        told = {"Content-Type": "application/json", "User-Agent": "headgate-operator", **headers}
        try:
            async with self._open().post(
                url, data=body, headers=told, timeout=timeout, allow_redirects=False
            ) as response:
                answer = b""
                while len(answer) <= LARGEST and (more := await response.content.read(LARGEST + 1 - len(answer))):
                    answer += more
        except TimeoutError:
            raise NotPostedError(f"does not answer within {seconds:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise NotPostedError(_plainly(error)) from None
        if len(answer) > LARGEST:
            raise NotPostedError("answers more than is sensible")
        if 300 <= response.status < 400:
            raise NotPostedError(f"redirects (HTTP {response.status}), which is not followed")
        return Posted(response.status, answer)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(
                limit=AT_ONCE, force_close=True, resolver=GuardedResolver() if self._guarded else None
            )
            self._session = aiohttp.ClientSession(
                connector=connector, trust_env=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session


def _plainly(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorDNSError():
            return "has a host name that cannot be resolved, or not to an address that is allowed"
        case aiohttp.ClientSSLError():
            return "shows a certificate that is not trusted"
        case aiohttp.ClientConnectorError():
            return "does not accept connections"
        case aiohttp.InvalidURL() | ValueError():
            return "has an address that cannot be understood"
        case _:
            return "breaks off in mid answer"
