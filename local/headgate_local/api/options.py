"""How a write is to be done, as its query and headers say."""

from __future__ import annotations

from dataclasses import dataclass

from headgate_local import errors
from headgate_local.access.users import User
from headgate_local.api import patches
from headgate_local.api.request import Request

LONGEST_MANAGER = 128


@dataclass(frozen=True)
class Options:
    """How a write is to be done, from its query and headers."""

    manager: str
    dry_run: bool = False
    validation: str = "Warn"
    force: bool = False
    # The text of the patch a write comes from; strict decoding blames it instead of the object.
    patch: str = ""
    # Who writes; nobody where one of the plane's own parts does.
    user: User | None = None

    @staticmethod
    def of(request: Request) -> Options:
        query = request.query
        dry_run = query.get("dryRun", "")
        if dry_run not in ("", "All"):
            raise _bad_option("dryRun", dry_run, "All")
        validation = query.get("fieldValidation") or "Warn"
        if validation not in ("Strict", "Warn", "Ignore"):
            raise _bad_option("fieldValidation", validation, "", "Ignore", "Strict", "Warn")
        if query.get("force") and request.media_type != patches.APPLY and request.method == "PATCH":
            wrong = errors.forbidden("force", "may not be specified for non-apply patch")
            raise errors.invalid_object("PatchOptions", "meta.k8s.io", "", [wrong])
        manager = query.get("fieldManager") or request.user_agent.partition("/")[0][:LONGEST_MANAGER] or "unknown"
        _check_manager(manager, request.method)
        patch = request.body.decode("utf-8", "replace") if request.method == "PATCH" else ""
        return Options(manager, dry_run == "All", validation, request.flag("force"), patch, request.user)


def _check_manager(manager: str, method: str) -> None:
    kind = {"POST": "CreateOptions", "PUT": "UpdateOptions", "PATCH": "PatchOptions"}.get(method, "DeleteOptions")
    wrong = []
    if len(manager.encode()) > LONGEST_MANAGER:
        hint = f"may not be more than {LONGEST_MANAGER} bytes"
        wrong.append(errors.FieldError(errors.FieldReason.TOO_LONG, "fieldManager", detail=hint))
    for at, character in enumerate(manager):
        if not character.isprintable():
            hint = f"invalid character U+{ord(character):04X} (at position {at})"
            wrong.append(errors.invalid("fieldManager", manager, hint))
    if wrong:
        raise errors.invalid_object(kind, "meta.k8s.io", "", wrong)


def _bad_option(name: str, value: str, *supported: str) -> errors.ApiError:
    wrong = errors.not_supported(name, value, supported)
    return errors.invalid_object("CreateOptions", "meta.k8s.io", "", [wrong])
