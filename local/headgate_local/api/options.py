"""How a write is to be done, as its query and headers say."""

from __future__ import annotations

from dataclasses import dataclass

from headgate_local import errors
from headgate_local.access.users import User
from headgate_local.api import patches
from headgate_local.api.request import Request


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
        manager = query.get("fieldManager") or request.user_agent.partition("/")[0] or "unknown"
        patch = request.body.decode("utf-8", "replace") if request.method == "PATCH" else ""
        return Options(manager, dry_run == "All", validation, request.flag("force"), patch, request.user)


def _bad_option(name: str, value: str, *supported: str) -> errors.ApiError:
    wrong = errors.not_supported(name, value, supported)
    return errors.invalid_object("CreateOptions", "meta.k8s.io", "", [wrong])
