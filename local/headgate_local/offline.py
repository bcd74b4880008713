"""What an API server with our CRD would say of new objects, without one.

`python -m headgate_local.offline`: a JSON list of objects on standard input, a list of refusals of each on standard
output. `headgate lint` asks so where no cluster can be reached.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from headgate_local import crd_files, errors
from headgate_local.api import decoding, metadata
from headgate_local.api.options import Options
from headgate_local.crd.definition import kinds_of
from headgate_local.crd.rules import CustomRules

Obj = dict[str, Any]
Refusals = list[dict[str, str]]


def refusals(obj: Obj) -> Refusals:
    """Where and why the object would be refused; nothing where it would not."""
    kinds = [kind for definition in crd_files.definitions() for kind in kinds_of(definition)]
    kind = next((kind for kind in kinds if kind.kind == obj.get("kind")), kinds[0])
    try:
        new, _ = decoding.decoded(kind, obj, Options(manager="headgate-lint", validation="Strict"))
    except errors.ApiError as error:
        return [{"path": "", "message": error.message}]
    rules = CustomRules(kind)
    rules.default(new)
    found = metadata.validate(kind, new) + rules.validate(new, None)
    return [{"path": error.path, "message": error.body} for error in found]


def main() -> None:
    print(json.dumps([refusals(obj) for obj in json.load(sys.stdin)]))  # noqa: T201


if __name__ == "__main__":
    main()
