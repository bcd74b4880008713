"""The rules of custom kinds, and of the definitions themselves, as the write road asks for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from headgate_local.api.clock import rfc3339
from headgate_local.crd import defaulting, definition, expressions, values
from headgate_local.errors import FieldError, FieldReason
from headgate_local.kinds import Kind
from headgate_local.store import Obj

# With errors like these a rule would only see half an object, so the rules are not run at all.
BLOCKING = (FieldReason.REQUIRED, FieldReason.TOO_LONG, FieldReason.TOO_MANY, FieldReason.TYPE_INVALID,
            FieldReason.NOT_SUPPORTED)  # fmt: skip
NOT_CHECKED = FieldError(
    FieldReason.INVALID,
    "<nil>",
    None,
    "some validation rules were not checked because the object was invalid; correct the existing errors to complete"
    " validation",
)


class CustomRules:
    def __init__(self, kind: Kind) -> None:
        self._schema = kind.schema

    def default(self, obj: Obj) -> None:
        defaulting.fill(self._schema, obj)

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        """A custom kind has no fields of the system's own."""

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        shown = {key: value for key, value in obj.items() if key != "metadata"}
        errors = values.validate(self._schema, shown)
        errors += values.list_errors(self._schema, shown)
        if any(error.reason in BLOCKING for error in errors):
            return [*errors, NOT_CHECKED]
        return errors + expressions.validate(self._schema, obj, expressions.ABSENT if old is None else old)


class DefinitionRules:
    """A definition is accepted and established as soon as it is stored: there is no controller to wait for."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def default(self, obj: Obj) -> None:
        definition.default(obj)

    def prepare(self, obj: Obj, old: Obj | None) -> None:
        del old
        if not definition.validate(obj):
            definition.accept(obj, rfc3339(self._now()))

    def validate(self, obj: Obj, old: Obj | None) -> list[FieldError]:
        del old
        return definition.validate(obj)
