"""The resourceVersion of a read: which ones may be asked for, in which words, and what they mean."""

from __future__ import annotations

from headgate_local.api.request import Request
from headgate_local.errors import (
    FieldError,
    bad_request,
    forbidden,
    invalid_object,
    not_supported,
    too_large_version,
)
from headgate_local.store import Store

MATCH = "resourceVersionMatch"


def check_list(request: Request) -> None:
    match, version = request.query.get(MATCH, ""), request.query.get("resourceVersion", "")
    wrong: list[FieldError] = []
    if request.query.get("sendInitialEvents"):
        wrong.append(forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if match:
        if not version:
            wrong.append(forbidden(MATCH, f"{MATCH} is forbidden unless resourceVersion is provided"))
        if request.query.get("continue"):
            wrong.append(forbidden(MATCH, f"{MATCH} is forbidden when continue is provided"))
        if match not in ("Exact", "NotOlderThan"):
            wrong.append(not_supported(MATCH, match, ("Exact", "NotOlderThan", "")))
        elif match == "Exact" and version == "0":
            wrong.append(forbidden(MATCH, f'{MATCH} "exact" is forbidden for resourceVersion "0"'))
    _raise(wrong)


def check_watch(request: Request) -> None:
    wrong: list[FieldError] = []
    if request.query.get(MATCH):
        wrong.append(forbidden(MATCH, f"{MATCH} is forbidden for watch unless sendInitialEvents is provided"))
    if request.query.get("continue"):
        # Surprising, but so it is named.
        wrong.append(forbidden(MATCH, f"{MATCH} is forbidden when continue is provided"))
    _raise(wrong)


def _raise(wrong: list[FieldError]) -> None:
    if wrong:
        raise invalid_object("ListOptions", "meta.k8s.io", "", wrong)


def exact(request: Request, limit: int) -> int:
    """The one version a list is to show; 0 where any that is not older will do."""
    version = number(request)
    match = request.query.get(MATCH, "")
    # A version with a limit has always meant exactly this version.
    return version if match == "Exact" or (limit and not match) else 0


def number(request: Request) -> int:
    given = request.query.get("resourceVersion") or "0"
    if not given.isdigit():
        why = f'Invalid value: "{given}": strconv.ParseUint: parsing "{given}": invalid syntax'
        raise bad_request(f"invalid resource version: resourceVersion: {why}")
    return int(given)


def check_reached(store: Store, request: Request) -> None:
    """A version of the future is refused; a real server waits three seconds for it first."""
    wanted = number(request)
    if wanted > store.version:
        raise too_large_version(wanted, store.version)
