"""Users, and the tokens of service accounts.

A token is a signed statement (a JWT), as in a real cluster: nothing about it is stored. It ends with its time, with its
account and with the plane.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from headgate_local.errors import FieldError, invalid
from headgate_local.kinds import Kinds
from headgate_local.store import Obj, Store

ISSUER = "https://kubernetes.default.svc.cluster.local"
MASTERS, AUTHENTICATED = "system:masters", "system:authenticated"
ACCOUNT, ACCOUNTS = "system:serviceaccount", "system:serviceaccounts"
DEFAULT_SECONDS, LEAST_SECONDS = 3600, 600


@dataclass(frozen=True)
class User:
    name: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Mapping[str, list[str]] = field(default_factory=dict)

    def info(self) -> Obj:
        found: Obj = {"username": self.name, "groups": list(self.groups)}
        if self.uid:
            found["uid"] = self.uid
        return {**found, **({"extra": dict(self.extra)} if self.extra else {})}


ADMIN = User("headgate-local-admin", (MASTERS, AUTHENTICATED))


def account_of(name: str) -> tuple[str, str] | None:
    """Namespace and name of the service account that a user is, if it is one."""
    parts = name.split(":")
    return (parts[2], parts[3]) if len(parts) == 4 and name.startswith(f"{ACCOUNT}:") else None


def account_groups(namespace: str) -> tuple[str, ...]:
    return ACCOUNTS, f"{ACCOUNTS}:{namespace}", AUTHENTICATED


def seconds_errors(spec: Obj) -> list[FieldError]:
    seconds = spec.get("expirationSeconds", DEFAULT_SECONDS)
    hints = {
        "may not specify a duration less than 10 minutes": seconds < LEAST_SECONDS,
        "may not specify a duration larger than 2^32 seconds": seconds > 1 << 32,
    }
    return [invalid("spec.expirationSeconds", seconds, hint) for hint, wrong in hints.items() if wrong]


class Tokens:
    def __init__(self, store: Store, kinds: Kinds, now: Callable[[], datetime]) -> None:
        self._store, self._kinds, self._now = store, kinds, now
        self._key = secrets.token_bytes(32)

    def issue(self, account: Obj, seconds: int) -> tuple[str, int]:
        """The token and the second at which it ends."""
        meta, began = account["metadata"], int(self._now().timestamp())
        about = {"name": meta["name"], "uid": meta["uid"]}
        claims = {
            "aud": [ISSUER],
            "exp": began + seconds,
            "iat": began,
            "iss": ISSUER,
            "jti": secrets.token_hex(16),
            "kubernetes.io": {"namespace": meta["namespace"], "serviceaccount": about},
            "nbf": began,
            "sub": f"{ACCOUNT}:{meta['namespace']}:{meta['name']}",
        }
        signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
        return f"{signed}.{self._signature(signed)}", began + seconds

    def user_of(self, token: str) -> User | None:
        """Whom a token speaks for; nobody where it is not ours, has ended, or its account is gone."""
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            return None
        claims = json.loads(base64.urlsafe_b64decode(_padded(signed.partition(".")[2])))
        about = claims["kubernetes.io"]
        namespace, account = about["namespace"], about["serviceaccount"]
        held = self._store.get(self._kinds.named("ServiceAccount"), namespace, account["name"])
        if claims["exp"] <= self._now().timestamp() or held is None or held["metadata"]["uid"] != account["uid"]:
            return None
        credential = {"authentication.kubernetes.io/credential-id": [f"JTI={claims['jti']}"]}
        return User(claims["sub"], account_groups(namespace), account["uid"], credential)

    def _signature(self, signed: str) -> str:
        digest = hmac.digest(self._key, signed.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _part(content: Obj) -> str:
    return base64.urlsafe_b64encode(json.dumps(content, separators=(",", ":")).encode()).decode().rstrip("=")


def _padded(text: str) -> str:
    return text + "=" * (-len(text) % 4)
