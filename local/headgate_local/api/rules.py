"""What a kind asks of its objects beyond the generic rules: defaults, preparation and validation."""

from __future__ import annotations

from typing import Protocol

from headgate_local.errors import FieldError
from headgate_local.store import Obj


class Rules(Protocol):
    """The rules of one kind. Objects are the caller's own copies and may be changed in place."""

    def default(self, obj: Obj) -> None:
        """Fills what the user left out, exactly as the real server does."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Sets or keeps the fields which a user does not decide; `old` is None on create."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        """Everything that is wrong with the object, or with the change."""


class NoRules:
    """A kind that is stored as it comes."""

    def default(self, obj: Obj) -> None:
        """Nothing to fill."""

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """Nothing to set."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        del obj, old
        return []
