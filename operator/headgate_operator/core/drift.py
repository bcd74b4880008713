"""Does a live object still say what was rendered? Only rendered fields count: the rest belongs to others.

Lists with keys are compared by key, quantities by value, and what the API server drops when it is empty is no
difference: a false difference would be a write on every pass, for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from headgate_operator import contract

# Which field identifies an item, by the name of the list. Everything else is compared as a whole and in order.
_KEYS = {
    "containers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
}
_PORT_KEYS = (("containerPort",), ("port",))
_QUANTITIES = {"limits", "requests"}  # maps of quantities
_QUANTITY = {"divisor", "sizeLimit"}
# Replaced as a whole by server-side apply: one key more in a Service's selector and no pod is selected any longer.
# (A Deployment's matchLabels cannot be changed at all, so a difference there could only be refused for ever.)
_ATOMIC = {"selector"}
_SUFFIXES = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12), "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40), "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}  # fmt: skip


def drifted(rendered: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    return not covers(live, rendered) or leftovers(rendered, live) or _chooses_other_pods(rendered, live)


def _chooses_other_pods(rendered: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """A budget's selector counts to the last label: one more and it speaks of no pod of ours, or only of some."""
    if rendered.get("kind") != "PodDisruptionBudget":
        return False
    return bool(live["spec"].get("selector") != rendered["spec"]["selector"])


def covers(live: Any, rendered: Any, name: str = "") -> bool:
    """Every rendered field has the rendered value in `live`."""
    if live == rendered:  # most of an object, at rest: not worth a look at each field
        return True
    if rendered is None or rendered == "":
        return _empty(live)
    if _empty(rendered):  # asks for nothing; what others put there could not be applied away either
        return True
    if name in _QUANTITY:
        return _same_quantity(live, rendered)
    if isinstance(rendered, Mapping):
        if not isinstance(live, Mapping) or (name in _ATOMIC and not live.keys() <= rendered.keys()):
            return False
        quantities = name in _QUANTITIES
        return all(
            _same_quantity(live.get(key), value) if quantities else covers(live.get(key), value, key)
            for key, value in rendered.items()
        )
    if isinstance(rendered, Sequence) and not isinstance(rendered, str):
        return isinstance(live, Sequence) and not isinstance(live, str) and _covers_items(live, rendered, name)
    return bool(live == rendered)


def _empty(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, Mapping | list | tuple) and not value)


def _covers_items(live: Sequence[Any], rendered: Sequence[Any], name: str) -> bool:
    keys = _item_keys(name, rendered)
    if keys is None:
        return len(live) == len(rendered) and all(map(covers, live, rendered))
    by_key = {tuple(item.get(key) for key in keys): item for item in live if isinstance(item, Mapping)}
    return all(covers(by_key.get(tuple(item.get(key) for key in keys)), item) for item in rendered)


def _item_keys(name: str, rendered: Sequence[Any]) -> tuple[str, ...] | None:
    if name == "ports":
        return next((keys for keys in _PORT_KEYS if all(keys[0] in item for item in rendered)), None)
    return _KEYS.get(name)


def _same_quantity(live: Any, rendered: Any) -> bool:
    try:
        return _quantity(str(live)) == _quantity(str(rendered))
    except (InvalidOperation, KeyError):
        return bool(live == rendered)


def _quantity(text: str) -> Decimal:
    number = text.rstrip("numkKMGTPEi")
    return Decimal(number) * _SUFFIXES[text[len(number) :]]


def leftovers(rendered: Mapping[str, Any], live: Mapping[str, Any]) -> bool:
    """Labels or annotations that this field manager set once and renders no longer."""
    for field in ("annotations", "labels"):
        now = rendered["metadata"].get(field, {})
        if any(key not in now for key in owned(live, field)):
            return True
    return False


def owned(live: Mapping[str, Any], field: str) -> list[str]:
    """Keys of this metadata field that this field manager has applied."""
    keys: list[str] = []
    for entry in live.get("metadata", {}).get("managedFields", []):
        if entry.get("manager") == contract.FIELD_MANAGER and entry.get("operation") == "Apply":
            fields = entry.get("fieldsV1", {}).get("f:metadata", {}).get(f"f:{field}", {})
            keys += [name.removeprefix("f:") for name in fields if name.startswith("f:")]
    return keys
