"""Identity of a pod template: is it the same one, and which hash names its ReplicaSet.

The hash is ours (sha256 over canonical JSON), its alphabet and its place in names and labels are upstream's.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from headgate_local.controllers.objects import Obj

HASH_LABEL = "pod-template-hash"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # no vowels, no look-alikes: a hash never spells a word
_LENGTH = 10


def same_template(one: Obj, other: Obj) -> bool:
    return bool(_comparable(one) == _comparable(other))


def template_hash(template: Obj, collisions: int) -> str:
    text = json.dumps([_comparable(template), collisions], sort_keys=True, separators=(",", ":"))
    number = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    letters = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[rest])
    return "".join(letters)


def with_hash(template: Obj, value: str) -> Obj:
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {**(metadata.get("labels") or {}), HASH_LABEL: value}
    return {**template, "metadata": metadata}


def selector_with_hash(selector: Obj, value: str) -> Obj:
    return {**selector, "matchLabels": {**(selector.get("matchLabels") or {}), HASH_LABEL: value}}


def _comparable(template: Obj) -> Any:
    metadata = dict(template.get("metadata") or {})
    metadata.pop("creationTimestamp", None)
    metadata["labels"] = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH_LABEL}
    return _without_empty({**template, "metadata": metadata})


def _without_empty(value: Any) -> Any:
    """Absent, null and empty mean the same in a pod template, except for an empty volume source like `emptyDir: {}`."""
    if isinstance(value, dict):
        cleaned = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in cleaned.items() if item not in (None, [], {}) or key == "emptyDir"}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value
