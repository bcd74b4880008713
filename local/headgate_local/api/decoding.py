"""Reading sent objects: is this the kind it claims to be, and which of its fields does that kind know?"""

from __future__ import annotations

import json

from headgate_local import errors
from headgate_local.api import fields
from headgate_local.api.apply.paths import text
from headgate_local.api.options import Options
from headgate_local.api.routing import Target
from headgate_local.kinds import Kind
from headgate_local.store import Obj, clone


def decoded(kind: Kind, obj: Obj, options: Options) -> tuple[Obj, list[str]]:
    """The caller's own copy of a sent object with known fields only, and the warnings about the others."""
    _check_kind(kind, obj)
    obj = {"apiVersion": kind.api_version, "kind": kind.kind, **clone(obj)}
    if not isinstance(obj.setdefault("metadata", {}), dict):
        raise errors.bad_request("metadata must be an object")
    if kind.custom:
        obj["metadata"] = fields.without_null_texts(kind.schema.at("metadata"), obj["metadata"])
    else:
        obj = fields.without_null_texts(kind.schema, obj)
    obj, unknown = fields.known(kind.schema, obj)
    if unknown and options.validation == "Strict":
        raise _strict(kind, obj, unknown, options)
    wrong = next(fields.mistyped(kind.schema.at("metadata") if kind.custom else kind.schema, _typed(kind, obj)), None)
    if wrong is not None:
        raise errors.bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {wrong}')
    if not kind.custom:
        obj = fields.without_empties(kind.schema, obj)
    warnings = [f'unknown field "{one}"' for one in unknown] if options.validation == "Warn" else []
    return obj, warnings


def _typed(kind: Kind, obj: Obj) -> Obj:
    """The part that is decoded into Go types: all of a built-in object, of a custom one only its metadata."""
    typed: Obj = obj["metadata"] if kind.custom else obj
    return typed


def _check_kind(kind: Kind, obj: Obj) -> None:
    given_kind, given_version = obj.get("kind"), obj.get("apiVersion")
    if given_kind in (None, kind.kind) and given_version in (None, kind.api_version):
        return
    if kind.custom and given_kind != kind.kind:
        wrong = errors.invalid("kind", given_kind, f"must be {kind.kind}")
        name = (obj.get("metadata") or {}).get("name", "")
        raise errors.invalid_object(str(given_kind), kind.group, name, [wrong])
    if given_kind == kind.kind:
        expected = f"does not match the expected API version ({kind.api_version})"
        raise errors.bad_request(f"the API version in the data ({given_version}) {expected}")
    raise errors.bad_request(f'{given_kind} in version "{given_version}" cannot be handled as a {kind.kind}')


def _strict(kind: Kind, obj: Obj, unknown: list[str], options: Options) -> errors.ApiError:
    listed = "strict decoding error: " + ", ".join(f'unknown field "{one}"' for one in unknown)
    if options.patch:
        # Surprising: of a patch the patch itself is invalid, where a create or replace is a bad request.
        wrong = errors.invalid("patch", options.patch, listed)
        return errors.invalid_object(kind.kind, kind.group, obj["metadata"].get("name", ""), [wrong])
    return errors.bad_request(f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {listed}')


def check_name(target: Target, meta: Obj) -> None:
    if not meta.get("name"):
        why = f"the name of the object ({target.name} based on URL) was undeterminable: name must be provided"
        raise errors.bad_request(why)
    if meta["name"] != target.name:
        raise errors.bad_request(
            f"the name of the object ({meta['name']}) does not match the name on the URL ({target.name})"
        )


def applied(target: Target, config: Obj) -> Obj:
    """An applied configuration as it can be merged; unlike elsewhere, an unknown field is always an error."""
    kind = target.kind
    given = config.get("apiVersion", "")
    if given != kind.api_version:
        versions = f"Specified patch version: {given}, expected: {kind.api_version}"
        if not kind.custom:
            raise errors.bad_request(f"invalid object type: {given}, Kind={config.get('kind', '')}")
        raise errors.bad_request(f"Incorrect version specified in apply patch. {versions}")
    if config.get("kind") != kind.kind:
        raise errors.bad_request(f"expected an object of kind {kind.kind}, got {json.dumps(config.get('kind'))}")
    config = clone(config)
    meta = config.setdefault("metadata", {})
    if meta.get("managedFields") is not None:
        raise errors.bad_request("metadata.managedFields must be nil")
    check_name(target, meta)
    given_namespace = meta.get("namespace", "")
    if kind.namespaced:
        meta.setdefault("namespace", target.namespace)
    wrong = list(fields.misfits(kind.schema, config))
    nulls = list(fields.null_errors(kind.schema, config)) if kind.custom else []
    if not kind.custom:
        config = fields.without_null_texts(kind.schema, config)
    config, unknown = fields.known(kind.schema, config, nulls=not kind.custom)
    wrong += [f".{one}: field not declared in schema" for one in unknown]
    repeated = fields.repeated_keys(kind.schema, config)
    wrong += [f"{text(path[:-1])}: duplicate entries for key {text(path[-1:])}" for path in repeated]
    if wrong:
        about = f"({given_namespace}/{target.name}; {kind.group}/{kind.version}, Kind={kind.kind})"
        listed = wrong[0] if len(wrong) == 1 else "errors:\n" + "\n".join(f"  {one}" for one in wrong)
        raise errors.ApiError(500, "", f"failed to create typed patch object {about}: {listed}")
    if nulls:
        raise errors.invalid_object(kind.kind, kind.group, target.name, nulls)
    return config
