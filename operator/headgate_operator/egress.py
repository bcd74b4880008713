"""Which addresses the operator contacts for a tenant: its own registry, and what its administrator lists. No others.

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


def normalised(uri: str, what: str = "registry") -> str:
    """The one spelling of a service's address that is compared, shown and given to pods."""
    try:
        parts = urlsplit(uri.strip())
        port = parts.port
    except ValueError as error:
        raise NotAllowedError(f"not a {what} address: {error}") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise NotAllowedError(f"a {what} address begins with http:// or https://")
    if parts.username is not None or parts.password is not None:
        raise NotAllowedError(f"a {what} address carries no user or password: name a Secret instead")
    if parts.query or parts.fragment:
        raise NotAllowedError(f"a {what} address has no query and no fragment")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = {"http": 80, "https": 443}[parts.scheme]
    shown = f":{port}" if port is not None and port != default else ""
    return f"{parts.scheme}://{host}{shown}{parts.path.rstrip('/')}"


class AllowList:
    """`own` may lie anywhere: whoever starts the operator names it. Without it, the only other one is what is meant."""

    def __init__(
        self, own: str | None, others: Iterable[str] = (), *, what: str = "registry", flag: str = "--allow-registry"
    ) -> None:
        self._what, self._flag = what, flag
        listed = [*([own] if own is not None else []), *others]
        self._allowed = tuple(dict.fromkeys(normalised(uri, what) for uri in listed))
        self._default = self._allowed[0] if own is not None or len(self._allowed) == 1 else None
        self.own = self._allowed[0] if own is not None else None

    def check(self, uri: str | None) -> str:
        """The effective address; NotAllowedError where it is not on the list."""
        wanted = self._default if uri is None else normalised(uri, self._what)
        if wanted is None:
            raise NotAllowedError(f"which {self._what}? The operator has no default: name one that it may contact")
        if wanted not in self._allowed:
            raise NotAllowedError(f"the operator does not contact {wanted}: its administrator can {self._flag} it")
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
