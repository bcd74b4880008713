"""The patch formats that are pure functions of the live object: merge patch and JSON patch."""

from __future__ import annotations

from typing import Any

import jsonpatch

from headgate_local.errors import ApiError, bad_request
from headgate_local.schema import Schema
from headgate_local.store import clone

MERGE = "application/merge-patch+json"
JSON = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
STRATEGY = "x-kubernetes-patch-strategy"


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


def strategic_merge(schema: Schema | None, live: Any, patch: Any) -> Any:
    """A merge patch that merges lists by key where the schema says so, with the directives kubectl sends."""
    if isinstance(patch, dict) and patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    if not isinstance(patch, dict):
        return clone(patch)
    merged = dict(live) if isinstance(live, dict) else {}
    retained = patch.get("$retainKeys")
    if retained is not None:
        merged = {key: value for key, value in merged.items() if key in retained}
    for name, value in patch.items():
        child = schema.child(name) if schema else None
        if name in ("$retainKeys", "$patch") or name.startswith("$setElementOrder/"):
            continue
        if name.startswith("$deleteFromPrimitiveList/"):
            field = name.partition("/")[2]
            merged[field] = [one for one in merged.get(field) or () if one not in value]
        elif value is None:
            merged.pop(name, None)
        elif isinstance(value, list) and child is not None and child.raw.get(STRATEGY):
            merged[name] = _merged_list(child, merged.get(name) or [], value)
        elif isinstance(value, dict) and child is not None and child.raw.get(STRATEGY) == "replace":
            merged[name] = clone(value)
        else:
            merged[name] = strategic_merge(child, merged.get(name), value)
    for name, order in patch.items():
        if name.startswith("$setElementOrder/"):
            field = name.partition("/")[2]
            merged[field] = _ordered(schema.child(field) if schema else None, merged.get(field) or [], order)
    return merged


def _merged_list(schema: Schema, live: list[Any], patch: list[Any]) -> list[Any]:
    key = schema.raw.get("x-kubernetes-patch-merge-key")
    if "merge" not in schema.raw[STRATEGY] or any(_is_replace(one) for one in patch):
        return [clone(one) for one in patch if not _is_replace(one)]
    if key is None:
        return [*live, *(one for one in patch if one not in live)]
    merged = list(live)
    for item in patch:
        at = next((index for index, one in enumerate(merged) if one.get(key) == item.get(key)), None)
        if item.get("$patch") == "delete":
            merged = [one for one in merged if one.get(key) != item.get(key)]
        elif at is None:
            merged.append(strategic_merge(schema.items, {}, item))
        else:
            merged[at] = strategic_merge(schema.items, merged[at], item)
    return merged


def _is_replace(item: Any) -> bool:
    return isinstance(item, dict) and item.get("$patch") == "replace" and len(item) == 1


def _ordered(schema: Schema | None, items: list[Any], order: list[Any]) -> list[Any]:
    """Puts the items the patch names into its order, and leaves the others after them."""
    key = schema.raw.get("x-kubernetes-patch-merge-key") if schema else None
    wanted = [one.get(key) if key else one for one in order]

    def place(item: Any) -> int:
        name = item.get(key) if key else item
        return wanted.index(name) if name in wanted else len(wanted)

    return sorted(items, key=place)


def json_patch(live: Any, operations: Any) -> Any:
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    try:
        return jsonpatch.JsonPatch(operations).apply(clone(live))
    except jsonpatch.JsonPatchTestFailed as error:
        raise _invalid(f"testing value failed: {error}") from error
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise _invalid(str(error)) from error


def _invalid(message: str) -> ApiError:
    return ApiError(422, "Invalid", f"the server rejected our request due to an error in our request: {message}")
