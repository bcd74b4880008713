"""Which registries the operator contacts for a tenant: its own, and those that its administrator lists. No others.

An address is compared as a whole (scheme, host, port, path). A listed *name* that resolves to this machine or to a
link-local address (cloud metadata) is refused when the connection is made, so that DNS cannot lead the operator there
after the check; an address that the administrator wrote down as such is meant.
"""

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult


class NotAllowedError(Exception):
    """The message is for the person who wrote the ModelDeployment."""


def normalised(uri: str) -> str:
    """The one spelling of a registry's address that is compared, shown and given to pods."""
    try:
        parts = urlsplit(uri.strip())
        port = parts.port
    except ValueError as error:
        raise NotAllowedError(f"not a registry address: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NotAllowedError("a registry address begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise NotAllowedError("a registry address carries no user or password: name a Secret instead")
    if parts.query or parts.fragment:
        raise NotAllowedError("a registry address has no query and no fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    shown = f":{port}" if port is not None and port != default else ""
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"


class AllowList:
    """`own` may lie anywhere: whoever starts the operator names it."""

    def __init__(self, own: str, others: Iterable[str] = ()) -> None:
        self.own = normalised(own)
        self._allowed = frozenset({self.own, *(normalised(uri) for uri in others)})

    def check(self, uri: str | None) -> str:
        """The effective address; NotAllowedError where it is not on the list."""
        if uri is None:
            return self.own
        wanted = normalised(uri)
        if wanted not in self._allowed:
            raise NotAllowedError(f"the operator does not contact {wanted}: its administrator can --allow-registry it")
        return wanted


class GuardedResolver(AbstractResolver):
    """Refuses names that lead to this machine or to link-local addresses."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if any(not is_public_enough(entry["host"]) for entry in found):
            raise OSError(None, f"{host} resolves to a loopback or link-local address")
        return found

    async def close(self) -> None:
        await self._inner.close()


def is_public_enough(address: str) -> bool:
    """Private networks are fine, that is where registries live."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return not (ip.is_loopback or ip.is_link_local or ip.is_unspecified or ip.is_multicast)
