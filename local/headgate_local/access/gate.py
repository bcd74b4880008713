"""The gate of the API server: a token becomes a user, who may speak for another, and is let through or not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from headgate_local.access.attributes import Attributes, attributes_of
from headgate_local.access.rbac import Authorizer
from headgate_local.access.users import AUTHENTICATED, Tokens, User, account_groups, account_of
from headgate_local.api.request import Request
from headgate_local.errors import bad_request
from headgate_local.kinds import Kinds
from headgate_local.store import Store

USER, GROUP, UID, EXTRA = (f"impersonate-{part}" for part in ("user", "group", "uid", "extra-"))
AUTHENTICATION = "authentication.k8s.io"


class Gate:
    def __init__(self, store: Store, kinds: Kinds, now: Callable[[], datetime]) -> None:
        self.tokens = Tokens(store, kinds, now)
        self.authorizer = Authorizer(store, kinds)

    def passed(self, request: Request) -> Request:
        """The request with the user whom it is made for, who may make it; 403 otherwise.

        A request of nobody is one of the plane's own parts, which need no permission.
        """
        if request.user is None:
            return request
        request = replace(request, user=self._impersonated(request, request.user))
        assert request.user is not None  # noqa: S101 - it was there before, too
        self.authorizer.check(request.user, attributes_of(request))
        return request

    def _impersonated(self, request: Request, user: User) -> User:
        headers = request.headers
        if not any(name.startswith("impersonate-") for name in headers):
            return user
        if not headers.get(USER):
            raise bad_request("requested to impersonate without impersonating a user name")
        for wanted in _impersonations(request):
            self.authorizer.check(user, wanted)
        name, account = headers[USER], account_of(headers[USER])
        groups = tuple(headers.get(GROUP, "").split("\n")) if GROUP in headers else ()
        if account and not groups:
            groups = account_groups(account[0])
        if AUTHENTICATED not in groups:
            groups = (*groups, AUTHENTICATED)
        extra = {key.removeprefix(EXTRA): value.split("\n") for key, value in headers.items() if key.startswith(EXTRA)}
        return User(name, groups, headers.get(UID, ""), extra)


def _impersonations(request: Request) -> Iterator[Attributes]:
    """What one must be allowed in order to be all that the headers say."""
    headers = request.headers
    account = account_of(headers[USER])
    if account:
        yield Attributes("impersonate", resource="serviceaccounts", namespace=account[0], name=account[1])
    else:
        yield Attributes("impersonate", resource="users", name=headers[USER])
    for group in filter(None, headers.get(GROUP, "").split("\n")):
        yield Attributes("impersonate", resource="groups", name=group)
    if UID in headers:
        yield Attributes("impersonate", AUTHENTICATION, "uids", name=headers[UID])
    for key, value in headers.items():
        if key.startswith(EXTRA):
            for one in value.split("\n"):
                yield Attributes("impersonate", AUTHENTICATION, "userextras", key.removeprefix(EXTRA), name=one)
