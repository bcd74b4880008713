"""The patch formats that are pure functions of the live object: merge patch and JSON patch."""

from __future__ import annotations

import json
from typing import Any

import jsonpatch

from headgate_local.errors import ApiError, bad_request
from headgate_local.store import clone

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
MOST_OPERATIONS = 10_000
REJECTED = "the server rejected our request due to an error in our request"


def merge_patch(live: Any, patch: Any) -> Any:
    """RFC 7386: objects merge, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(live) if isinstance(live, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def read_map(body: bytes) -> dict[str, Any]:
    found = _read(body)
    if not isinstance(found, dict):
        given = "array" if isinstance(found, list) else "string" if isinstance(found, str) else "number"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {given} into Go value of type map[string]interface {{}}"
        )
    return found


def read_operations(body: bytes) -> list[Any]:
    found = _read(body)
    if not isinstance(found, list):
        given = "object" if isinstance(found, dict) else "string" if isinstance(found, str) else "number"
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {given} into Go value of type []handlers.jsonPatchOp"
        )
    if len(found) > MOST_OPERATIONS:
        allowed = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(found)}"
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: {allowed}")
    return found


def _read(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError as error:
        raise bad_request(f"error decoding patch: {error}") from error


def json_patch(live: Any, operations: list[Any]) -> Any:
    try:
        for operation in operations:
            live = jsonpatch.JsonPatch([_lenient(live, operation)]).apply(live)
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, KeyError, TypeError) as error:
        # Which operation failed and why is not told.
        raise ApiError(422, "Invalid", REJECTED) from error
    return live


def _lenient(live: Any, operation: Any) -> Any:
    """Surprising: a field that is not there can be replaced, though RFC 6902 forbids it."""
    if not isinstance(operation, dict) or operation.get("op") != "replace":
        return operation
    parent, key = jsonpatch.JsonPointer(operation["path"]).to_last(live)
    return {**operation, "op": "add"} if isinstance(parent, dict) and key not in parent else operation
