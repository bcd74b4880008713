"""The refusals of the API server, worded as Kubernetes words them.

Clients branch on `reason` and `code`, people read `message`, and `kubectl` prints the causes: all three are contract.
Field errors are collected as values, because one answer names every field that is wrong.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Omitted(Enum):
    """Marks a field error whose offending value is not shown."""

    VALUE = "omitted"


class FieldReason(Enum):
    NOT_FOUND = ("FieldValueNotFound", "Not found")
    REQUIRED = ("FieldValueRequired", "Required value")
    DUPLICATE = ("FieldValueDuplicate", "Duplicate value")
    INVALID = ("FieldValueInvalid", "Invalid value")
    TYPE_INVALID = ("FieldValueTypeInvalid", "Invalid value")
    NOT_SUPPORTED = ("FieldValueNotSupported", "Unsupported value")
    FORBIDDEN = ("FieldValueForbidden", "Forbidden")
    TOO_LONG = ("FieldValueTooLong", "Too long")
    TOO_MANY = ("FieldValueTooMany", "Too many")


VALUELESS = (FieldReason.REQUIRED, FieldReason.FORBIDDEN, FieldReason.TOO_LONG)


@dataclass(frozen=True)
class FieldError:
    reason: FieldReason
    path: str
    value: Any = Omitted.VALUE
    detail: str = ""

    @property
    def body(self) -> str:
        text = self.reason.value[1]
        if self.reason not in VALUELESS and self.value is not Omitted.VALUE:
            text = f"{text}: {_shown(self.value)}"
        return f"{text}: {self.detail}" if self.detail else text

    def __str__(self) -> str:
        return f"{self.path}: {self.body}"


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def required(path: str, detail: str = "") -> FieldError:
    return FieldError(FieldReason.REQUIRED, path, detail=detail)


def invalid(path: str, value: Any, detail: str) -> FieldError:
    return FieldError(FieldReason.INVALID, path, value, detail)


def forbidden(path: str, detail: str) -> FieldError:
    return FieldError(FieldReason.FORBIDDEN, path, detail=detail)


def duplicate(path: str, value: Any) -> FieldError:
    return FieldError(FieldReason.DUPLICATE, path, value)


def not_supported(path: str, value: Any, supported: Sequence[str]) -> FieldError:
    listed = ", ".join(_shown(one) for one in supported)
    return FieldError(FieldReason.NOT_SUPPORTED, path, value, f"supported values: {listed}")


@dataclass
class ApiError(Exception):
    """A refused request; `body()` is the Status object that goes over the wire."""

    status: int
    reason: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)
    # What stands in the metadata of the Status: how to go on with a list that cannot be continued as it was.
    metadata: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}"

    def body(self) -> dict[str, Any]:
        answer: dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure"}
        answer["message"] = self.message
        if self.reason:
            answer["reason"] = self.reason
        if self.details:
            answer["details"] = self.details
        answer["code"] = self.status
        return answer


def _about(resource: str, group: str, name: str) -> tuple[str, dict[str, Any]]:
    details = {key: value for key, value in (("name", name), ("group", group), ("kind", resource)) if value}
    return (f"{resource}.{group}" if group else resource), details


def not_found(resource: str, group: str, name: str) -> ApiError:
    qualified, details = _about(resource, group, name)
    return ApiError(404, "NotFound", f'{qualified} "{name}" not found', details)


def already_exists(resource: str, group: str, name: str) -> ApiError:
    qualified, details = _about(resource, group, name)
    return ApiError(409, "AlreadyExists", f'{qualified} "{name}" already exists', details)


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(resource: str, group: str, name: str, why: str = MODIFIED) -> ApiError:
    qualified, details = _about(resource, group, name)
    message = f'Operation cannot be fulfilled on {qualified} "{name}": {why}'
    return ApiError(409, "Conflict", message, details)


def forbidden_write(resource: str, group: str, name: str, why: str) -> ApiError:
    qualified, details = _about(resource, group, name)
    return ApiError(403, "Forbidden", f'{qualified} "{name}" is forbidden: {why}', details)


def invalid_object(kind: str, group: str, name: str, errors: Sequence[FieldError]) -> ApiError:
    qualified = f"{kind}.{group}" if group else kind
    details: dict[str, Any] = {"name": name, "group": group, "kind": kind}
    details = {key: value for key, value in details.items() if value}
    details["causes"] = [{"reason": e.reason.value[0], "message": e.body, "field": e.path} for e in errors]
    texts = list(dict.fromkeys(str(error) for error in errors))
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    return ApiError(422, "Invalid", f'{qualified} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> ApiError:
    return ApiError(400, "BadRequest", message)


def expired(message: str, metadata: dict[str, Any] | None = None) -> ApiError:
    return ApiError(410, "Expired", message, metadata=metadata or {})


def too_large_version(wanted: int, current: int) -> ApiError:
    causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
    message = f"Timeout: Too large resource version: {wanted}, current: {current}"
    return ApiError(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})


def method_not_allowed() -> ApiError:
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def unknown_path() -> ApiError:
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def unsupported_media_type(given: str, accepted: Sequence[str]) -> ApiError:
    listed = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - accepted media types include: {listed}"
    del given
    return ApiError(415, "UnsupportedMediaType", message)


def not_acceptable(accepted: Sequence[str]) -> ApiError:
    message = f"only the following media types are accepted: {', '.join(accepted)}"
    return ApiError(406, "NotAcceptable", message)
