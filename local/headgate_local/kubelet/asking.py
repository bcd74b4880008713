"""Making a probe's check on real sockets: one fresh connection each time, as a kubelet does."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from headgate_local.kubelet.runtime import HttpGet, ProbeOutcome, TcpSocket

_MOST_REDIRECTS = 10
_MOST_HEADER_LINES = 200


async def ask_http(check: HttpGet) -> ProbeOutcome:
    """200 to 399 is success; a redirect on the same host is followed, one to elsewhere counts as an answer."""
    url = f"{check.scheme.lower()}://{check.host}:{check.port}{_rooted(check.path)}"
    for _ in range(_MOST_REDIRECTS):
        status, location = await _get(url, check)
        if location is None or not 300 <= status < 400 or urlsplit(urljoin(url, location)).hostname != check.host:
            break
        url = urljoin(url, location)
    if 200 <= status < 400:
        return ProbeOutcome(success=True)
    return ProbeOutcome(success=False, message=f"HTTP probe failed with statuscode: {status}")


async def ask_tcp(check: TcpSocket) -> ProbeOutcome:
    _, writer = await asyncio.open_connection(check.host, check.port)
    await _close(writer)
    return ProbeOutcome(success=True)


def _rooted(path: str) -> str:
    return path if path.startswith("/") else f"/{path}"


async def _get(url: str, check: HttpGet) -> tuple[int, str | None]:
    parts = urlsplit(url)
    secure = parts.scheme == "https"
    reader, writer = await asyncio.open_connection(
        parts.hostname, parts.port or (443 if secure else 80), ssl=_trust_anything() if secure else None
    )
    try:
        headers = {"host": parts.netloc, "user-agent": "kube-probe/1.36", "accept": "*/*", "connection": "close"}
        headers |= {name.lower(): value for name, value in check.headers}
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        writer.write("\r\n".join(lines).encode())
        await writer.drain()
        status = _status((await reader.readline()).decode("latin-1"))
        location = None
        for _ in range(_MOST_HEADER_LINES):
            line = (await reader.readline()).decode("latin-1").strip()
            if not line:
                break
            name, _, value = line.partition(":")
            if name.lower() == "location":
                location = value.strip()
        return status, location
    finally:
        await _close(writer)


def _status(line: str) -> int:
    words = line.split()
    if len(words) < 2 or not words[0].startswith("HTTP/") or not words[1].isdigit():
        raise OSError(f"not an HTTP answer: {line[:60]!r}")
    return int(words[1])


def _trust_anything() -> ssl.SSLContext:
    # A probe checks that something answers, not who: kubelets skip verification too.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
