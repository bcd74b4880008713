"""A registry in a dict: what the operator asks of a registry, answered at once, with bad days on demand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from headgate_operator.api.model import ByAlias, ByVersion, Identity, brief
from headgate_operator.api.reasons import Reason
from headgate_operator.core.observed import Example, Resolution, Resolved, Unresolved
from headgate_operator.ports import Key, ModelRequest

URI = "http://mlflow.test:5000"
MODEL = "iris-classifier"
_BORN = datetime(2026, 1, 1, tzinfo=UTC)


def identity(version: str, *, name: str = MODEL, source: str = "", uri: str = URI) -> Identity:
    created = _BORN + timedelta(hours=int(version))
    return Identity(
        registry=uri, name=name, version=version, source=source or f"models:/m-{version}", created_at=created
    )


class Catalogue:
    """Implements `ports.Registry`. Every version exists that an alias or a request names, unless it was deleted."""

    def __init__(self, **aliases: str) -> None:
        self.aliases = dict(aliases)
        self.sources: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.examples: dict[str, bytes] = {}
        self.trouble: Unresolved | None = None
        self.example_trouble: Unresolved | None = None
        self.asked = 0

    def down(self, reason: Reason = Reason.REGISTRY_UNREACHABLE, message: str = "connection refused") -> None:
        self.trouble = Unresolved(reason, message)

    def up(self) -> None:
        self.trouble = None

    async def resolve(self, request: ModelRequest) -> Resolution:
        self.asked += 1
        if self.trouble is not None:
            return self.trouble
        if isinstance(request.ref, ByAlias):
            version = self.aliases.get(request.ref.alias)
            if version is None:
                return Unresolved(Reason.ALIAS_NOT_FOUND, f"{request.name} has no alias {request.ref.alias}")
        elif isinstance(request.ref, ByVersion):
            version = request.ref.version
        else:
            version = self.aliases[brief(request.ref)]
        if version in self.deleted:
            return Unresolved(Reason.VERSION_NOT_FOUND, f"{request.name} has no version {version}")
        source = self.sources.get(version, "")
        return Resolved(identity(version, name=request.name, source=source, uri=request.uri or URI))

    async def example(self, request: ModelRequest, identity: Identity) -> Example | Unresolved:
        return self.example_trouble or Example(self.examples.get(identity.version))


class Followed:
    """Implements `ports.Interests`."""

    def __init__(self) -> None:
        self.answers: dict[Key, Resolution] = {}

    def follow(self, key: Key, request: ModelRequest, answer: Resolution) -> None:
        self.answers[key] = answer

    def forget(self, key: Key) -> None:
        self.answers.pop(key, None)
