"""The managers of an object's fields: reading and writing managedFields, and what each kind of write does to them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from headgate_local.api.apply import paths
from headgate_local.api.apply.paths import PathSet
from headgate_local.api.apply.walk import compare, field_set, merge, remove, with_declared
from headgate_local.errors import ApiError
from headgate_local.schema import Schema
from headgate_local.store import Obj

STRIPPED: PathSet = frozenset(
    [("f:apiVersion",), ("f:kind",), ("f:metadata",)]
    + [("f:metadata", f"f:{name}") for name in (
        "name", "namespace", "creationTimestamp", "selfLink", "uid", "clusterName", "generation", "managedFields",
        "resourceVersion",
    )]
)  # fmt: skip
KUBECTL = "kubectl"
LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
BEFORE_FIRST_APPLY = "before-first-apply"


@dataclass(frozen=True)
class ManagerId:
    """Two writes belong to the same entry when all of these agree."""

    manager: str
    operation: str  # Apply or Update
    api_version: str
    subresource: str = ""


@dataclass(frozen=True)
class Owned:
    fields: PathSet
    time: str


Managers = dict[ManagerId, Owned]


def read(obj: Obj) -> Managers:
    found: Managers = {}
    for entry in obj.get("metadata", {}).get("managedFields") or ():
        who = ManagerId(
            entry.get("manager", ""),
            entry.get("operation", ""),
            entry.get("apiVersion", ""),
            entry.get("subresource", ""),
        )
        found[who] = Owned(paths.from_fields(entry.get("fieldsV1") or {}), entry.get("time", ""))
    return found


def write(obj: Obj, managers: Managers) -> Obj:
    """The object with its managedFields replaced; appliers first, then by time and name."""
    meta = {key: value for key, value in obj.get("metadata", {}).items() if key != "managedFields"}
    ordered = sorted(
        managers.items(), key=lambda pair: (pair[0].operation, pair[1].time, pair[0].manager, pair[0].subresource)
    )
    if ordered:
        meta["managedFields"] = [_entry(who, owned) for who, owned in ordered]
    return {**obj, "metadata": meta}


def _entry(who: ManagerId, owned: Owned) -> dict[str, Any]:
    entry: dict[str, Any] = {"manager": who.manager, "operation": who.operation, "apiVersion": who.api_version}
    entry["time"] = owned.time
    entry["fieldsType"] = "FieldsV1"
    entry["fieldsV1"] = paths.to_fields(owned.fields)
    if who.subresource:
        entry["subresource"] = who.subresource
    return entry


def bare(obj: Obj) -> Obj:
    meta = obj.get("metadata", {})
    return {**obj, "metadata": {key: value for key, value in meta.items() if key != "managedFields"}}


def updated(
    schema: Schema, old: Obj, new: Obj, managers: Managers, who: ManagerId, now: str, reset: PathSet
) -> Managers:
    """Who owns what after a create, update or patch: the writer takes what it changed, everyone loses what is gone."""
    difference = compare(schema, bare(old), bare(new))
    changed = paths.without_below(frozenset(difference.added | difference.modified), reset)
    gone = paths.without_below(frozenset(difference.removed), reset)
    result = _without(managers, changed | gone)
    # The writer keeps what it owned: setting a field again is not giving it up.
    before = managers[who].fields - gone if who in managers else frozenset()
    taken = changed - STRIPPED
    if taken:
        result[who] = Owned(before | taken, now)
    elif before:
        result[who] = Owned(before, managers[who].time)
    return result


def _without(managers: Managers, lost: PathSet) -> Managers:
    left = {who: replace(owned, fields=owned.fields - lost) for who, owned in managers.items()}
    return {who: owned for who, owned in left.items() if owned.fields}


def applied(
    schema: Schema, live: Obj, config: Obj, managers: Managers, who: ManagerId, now: str, *, force: bool, reset: PathSet
) -> tuple[Obj, Managers]:
    """Merges a configuration; raises the conflict Kubernetes raises when another manager owns a field that changes."""
    if live and not managers:
        former = ManagerId(BEFORE_FIRST_APPLY, "Update", who.api_version)
        managers = updated(schema, {}, live, {}, former, now, frozenset())
    live, config = bare(live), bare(config)
    previous = managers[who].fields if who in managers else frozenset()
    wanted = paths.without_below(field_set(schema, config), reset) - STRIPPED
    managers = {**managers, who: Owned(wanted, now)}
    merged = _pruned(schema, merge(schema, live, config), managers, previous, wanted)
    difference = compare(schema, live, merged)
    changed = paths.without_below(frozenset(difference.added | difference.modified), reset)
    gone = paths.without_below(frozenset(difference.removed), reset)
    conflicts = [(other, owned.fields & changed) for other, owned in managers.items() if other != who]
    conflicts = [(other, fields) for other, fields in conflicts if fields]
    if conflicts and not force and who.manager == KUBECTL:
        # kubectl may take over what its own plain apply wrote: that annotation is the proof, where it still holds.
        mine = _plainly_applied(schema, live)
        conflicts = [(other, fields - mine) for other, fields in conflicts if fields - mine]
    if conflicts and not force:
        raise conflict_error(conflicts)
    others = _without({other: owned for other, owned in managers.items() if other != who}, changed | gone)
    if wanted:
        others[who] = Owned(wanted, now)
    return merged, others


def _plainly_applied(schema: Schema, live: Obj) -> PathSet:
    """The fields that kubectl's plain apply set, by its annotation, and that still have that value."""
    text = (live.get("metadata", {}).get("annotations") or {}).get(LAST_APPLIED)
    if not text:
        return frozenset()
    last = json.loads(text)
    difference = compare(schema, last, live)
    return field_set(schema, last) - (difference.added | difference.modified | difference.removed)


def _pruned(schema: Schema, merged: Obj, managers: Managers, previous: PathSet, wanted: PathSet) -> Obj:
    """Removes what this applier applied last time, not this time, and nobody else owns.

    In three steps, as structured-merge-diff does it: take away everything last applied, give back what anyone owns now,
    and give back what this applier never owned (defaults, fields without an owner).
    """
    if not previous - wanted:
        return merged

    def present(value: Obj) -> PathSet:
        return with_declared(schema, field_set(schema, value))

    everything, last = present(merged), with_declared(schema, previous)
    owned = with_declared(schema, frozenset().union(*(one.fields for one in managers.values())))
    without_last = present(remove(schema, merged, last))
    with_owned = present(remove(schema, merged, everything - (without_last | owned)))
    pruned: Obj = remove(schema, merged, (everything - with_owned) & last)
    return pruned


def conflict_error(conflicts: Iterable[tuple[ManagerId, PathSet]]) -> ApiError:
    found = [(who, path) for who, fields in conflicts for path in sorted(fields, key=paths.text)]
    found.sort(key=lambda pair: (_shown(pair[0]), paths.text(pair[1])))
    causes = [
        {"reason": "FieldManagerConflict", "message": f"conflict with {_shown(who)}", "field": paths.text(path)}
        for who, path in found
    ]
    if len(found) == 1:
        who, path = found[0]
        message = f"Apply failed with 1 conflict: conflict with {_shown(who)}: {paths.text(path)}"
    else:
        lines: list[str] = []
        for who in dict.fromkeys(who for who, _ in found):
            lines.append(f"conflicts with {_shown(who)}:")
            lines += [f"- {paths.text(path)}" for other, path in found if other == who]
        message = f"Apply failed with {len(found)} conflicts: " + "\n".join(lines)
    return ApiError(409, "Conflict", message, {"causes": causes})


def _shown(who: ManagerId) -> str:
    text = f'"{who.manager}"'
    if who.subresource:
        text += f' with subresource "{who.subresource}"'
    if who.operation == "Update":
        text += f" using {who.api_version}"
    return text
