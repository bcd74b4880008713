"""The strategic merge patch: a merge patch that knows which lists are maps, with directives for what it cannot say.

What kubectl sends for built-in kinds. The order of merged lists is part of the contract: it is what the patch says,
then what the patch implies, then what was there.
"""

from __future__ import annotations

from typing import Any

from headgate_local.api import fields
from headgate_local.errors import ApiError, bad_request, invalid, invalid_object
from headgate_local.schema import Schema
from headgate_local.store import clone

DIRECTIVE, RETAIN = "$patch", "$retainKeys"
ORDER, DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"

Map = dict[str, Any]


def merged(schema: Schema | None, live: Map, patch: Any) -> Map:
    if not isinstance(patch, dict):
        raise bad_request(f"json: cannot unmarshal {_json_name(patch)} into Go value of type map[string]interface {{}}")
    found = _maps(schema, live, patch)
    wrong = next(fields.mistyped(schema, found), None)
    if wrong is not None:
        # Surprising: what no other patch may do is here the patch's fault, of an object that has no name.
        raise invalid_object("", "", "", [invalid("patch", _go_text(patch), wrong)])
    return found


def _maps(schema: Schema | None, live: Map, patch: Map) -> Map:
    match patch.get(DIRECTIVE):
        case "replace":
            return {key: clone(value) for key, value in patch.items() if key != DIRECTIVE}
        case "delete":
            return {}
        case _ if DIRECTIVE in patch:
            raise _unknown_directive(patch)
    found = _retained(live, patch)
    done = {RETAIN}
    for key, order in patch.items():
        if key.startswith(ORDER):
            field = key.removeprefix(ORDER)
            done |= {key, field}
            _set_ordered(found, field, patch.get(field), order, _child(schema, field))
    for key, value in patch.items():
        if key in done:
            continue
        if key.startswith(DELETE):
            field = key.removeprefix(DELETE)
            if isinstance(found.get(field), list):
                found[field] = [one for one in found[field] if one not in value]
        elif value is None:
            found.pop(key, None)
        else:
            _set(found, key, value, _child(schema, key))
    return found


def _set(found: Map, key: str, value: Any, schema: Schema | None) -> None:
    held = found.get(key)
    if isinstance(value, dict) and isinstance(held, dict):
        found[key] = clone(value) if "replace" in _strategies(schema) else _maps(schema, held, value)
    elif isinstance(value, list) and isinstance(held, list):
        found[key] = _lists(schema, held, value)
    elif isinstance(value, dict) and DIRECTIVE in value:
        found.pop(key, None)
    else:
        found[key] = _without_directives(value)


def _retained(live: Map, patch: Map) -> Map:
    """The live fields that may stay: all of them, unless the patch lists those that do."""
    if RETAIN not in patch:
        return dict(live)
    kept = patch[RETAIN]
    named = {key for key, value in patch.items() if value is not None and not key.startswith((ORDER, DELETE))}
    if not isinstance(kept, list) or not named - {RETAIN} <= set(kept):
        raise bad_request("invalid patch format of retainKeys")
    return {key: value for key, value in live.items() if key in kept}


def _set_ordered(found: Map, field: str, patch: Any, order: Any, schema: Schema | None) -> None:
    live, key = found.get(field), _merge_key(schema)
    for one in (order, live, patch):
        if one is not None and not isinstance(one, list):
            raise ApiError(500, "", f"expected a []interface {{}}, but received a {_go_name(one)}")
    if patch:
        _check_order(patch, order, key)
    if live is None and patch is None:
        return
    items = _without_directives(patch or []) if live is None else _lists(schema, live, patch or [])
    found[field] = _in_order(items, order, live or [], key)


def _check_order(patch: list[Any], order: list[Any], key: str) -> None:
    """What the patch has must be in the list that orders it, and in the same order."""
    rest = iter([_key_of(one, key) for one in order])
    kept = [one for one in patch if not (isinstance(one, dict) and DIRECTIVE in one)]
    if order and not all(_key_of(one, key) in rest for one in kept):
        shown = f"{_go_text(patch)}\n doesn't match $setElementOrder list:\n{_go_text(order)}\n"
        raise ApiError(500, "", f"The order in patch list:\n{shown}")


def _lists(schema: Schema | None, live: list[Any], patch: list[Any]) -> list[Any]:
    if "merge" not in _strategies(schema):
        return list(clone(patch))
    key = _merge_key(schema)
    if not any(isinstance(one, dict) for one in (*live, *patch)):
        both = list(dict.fromkeys((*live, *patch)))
        return _in_order(both, patch, live, "")
    live, patch = _directed(live, patch, key)
    items = list(live)
    for one in patch:
        name = _key_of(one, key)
        at = next((index for index, held in enumerate(items) if held.get(key) == name), None)
        if at is None:
            items.append(clone(one))
        else:
            items[at] = _maps(schema.items if schema else None, items[at], one)
    return _in_order(items, patch, live, key)


def _directed(live: list[Any], patch: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """What is left of both lists when the items that are directives have been followed."""
    plain = [one for one in patch if DIRECTIVE not in one]
    replaced = False
    for one in patch:
        match one.get(DIRECTIVE):
            case "delete":
                name = _key_of(one, key)
                live = [held for held in live if held.get(key) != name]
            case "replace":
                replaced = True
            case "merge":
                raise ApiError(500, "", "merging lists cannot yet be specified in the patch")
            case _ if DIRECTIVE in one:
                raise _unknown_directive(one)
    return ([] if replaced else live), plain


def _in_order(items: list[Any], order: list[Any], live: list[Any], key: str) -> list[Any]:
    """The ordered items in their order; each other one stays before those that it was before."""
    places = {_key_of(one, key): place for place, one in reversed(list(enumerate(order)))}
    before = {_key_of(one, key): place for place, one in reversed(list(enumerate(live)))}
    ordered = sorted((one for one in items if _key_of(one, key) in places), key=lambda one: places[_key_of(one, key)])
    others = [one for one in items if _key_of(one, key) not in places]
    others.sort(key=lambda one: before.get(_key_of(one, key), len(before)))
    result: list[Any] = []
    for one in ordered:
        place = before.get(_key_of(one, key))
        while others and place is not None and before.get(_key_of(others[0], key), place) < place:
            result.append(others.pop(0))
        result.append(one)
    return result + others


def _key_of(item: Any, key: str) -> Any:
    if not key:
        return item
    if not isinstance(item, dict) or key not in item:
        raise ApiError(500, "", f"map: {_go_text(item)} does not contain declared merge key: {key}")
    return item[key]


def _without_directives(value: Any) -> Any:
    """A value that meets nothing to merge with: its directives and nulls mean nothing."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if item is not None and not _is_directed(item)}
        return {key: _without_directives(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [_without_directives(one) for one in value if not _is_directed(one)]
    return value


def _is_directed(value: Any) -> bool:
    return isinstance(value, dict) and DIRECTIVE in value


def _child(schema: Schema | None, name: str) -> Schema | None:
    return schema.child(name) if schema else None


def _strategies(schema: Schema | None) -> list[str]:
    return str(schema.raw.get("x-kubernetes-patch-strategy", "")).split(",") if schema else []


def _merge_key(schema: Schema | None) -> str:
    return str(schema.raw.get("x-kubernetes-patch-merge-key", "")) if schema else ""


def _unknown_directive(patch: Map) -> ApiError:
    return ApiError(500, "", f"unknown patch type: {patch[DIRECTIVE]} in map: {_go_text(patch)}")


def _go_text(value: Any) -> str:
    """As Go prints it in a message."""
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_go_text(value[key])}' for key in sorted(value))}]"
    if isinstance(value, list):
        return f"[{' '.join(_go_text(one) for one in value)}]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _go_name(value: Any) -> str:
    if isinstance(value, dict):
        return "map[string]interface {}"
    return {bool: "bool", int: "int64", float: "float64"}.get(type(value), "string")


def _json_name(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
