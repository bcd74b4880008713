"""Reviews: questions about who one is and what one may, answered and never stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headgate_local.access.attributes import Attributes
from headgate_local.access.rbac import Authorizer
from headgate_local.access.users import ADMIN, User
from headgate_local.api import bodies
from headgate_local.api.request import Request, Response
from headgate_local.errors import FieldError, invalid, invalid_object, required
from headgate_local.store import Obj

ONE_OF = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
Answer = Callable[[Authorizer, User, Obj], Obj]


def answer(request: Request, authorizer: Authorizer) -> Response | None:
    """None where the request is no review."""
    known = REVIEWS.get(request.path) if request.method == "POST" else None
    if known is None:
        return None
    group, kind, told = known
    sent = bodies.read_typed(request, f"k8s.io.api.{group}.v1.{kind}")
    review = {"kind": kind, "apiVersion": f"{group}.k8s.io/v1", **sent}
    status = told(authorizer, request.user or ADMIN, review.get("spec") or {})
    return Response(201, {**review, "metadata": {"creationTimestamp": None}, "status": status})


def _who(authorizer: Authorizer, user: User, spec: Obj) -> Obj:
    del authorizer, spec
    return {"userInfo": user.info()}


def _may_i(authorizer: Authorizer, user: User, spec: Obj) -> Obj:
    _refuse("SelfSubjectAccessReview", _one_of(spec))
    return _decided(authorizer, user, spec)


def _may_they(authorizer: Authorizer, user: User, spec: Obj) -> Obj:
    del user
    wrong = _one_of(spec)
    if not spec.get("user") and not spec.get("groups"):
        wrong.append(invalid("spec.user", "", "at least one of user or group must be specified"))
    _refuse("SubjectAccessReview", wrong)
    return _decided(authorizer, User(spec.get("user", ""), tuple(spec.get("groups") or ())), spec)


def _what_may_i(authorizer: Authorizer, user: User, spec: Obj) -> Obj:
    if not spec.get("namespace"):
        _refuse("SelfSubjectRulesReview", [required("spec.namespace")])
    rules = authorizer.rules(user, spec["namespace"])
    return {
        "resourceRules": [rule for rule in rules if not rule.get("nonResourceURLs")],
        "nonResourceRules": [rule for rule in rules if rule.get("nonResourceURLs")],
        "incomplete": False,
    }


def _one_of(spec: Obj) -> list[FieldError]:
    given = [spec[name] for name in ("resourceAttributes", "nonResourceAttributes") if spec.get(name) is not None]
    return [] if len(given) == 1 else [invalid("spec.resourceAttributes", spec.get("resourceAttributes"), ONE_OF)]


def _refuse(kind: str, wrong: list[FieldError]) -> None:
    if wrong:
        raise invalid_object(kind, "authorization.k8s.io", "", wrong)


def _decided(authorizer: Authorizer, user: User, spec: Obj) -> Obj:
    decision = authorizer.decide(user, _wanted(spec))
    status: dict[str, Any] = {"allowed": decision.allowed}
    if decision.reason or decision.problem:
        status["reason"] = decision.reason or decision.problem
    return status


def _wanted(spec: Obj) -> Attributes:
    path = spec.get("nonResourceAttributes")
    if path is not None:
        return Attributes(path.get("verb", ""), path=path.get("path") or "/")
    about = spec["resourceAttributes"]
    names = ("verb", "group", "resource", "subresource", "namespace", "name")
    return Attributes(**{name: about.get(name) or "" for name in names})


REVIEWS: dict[str, tuple[str, str, Answer]] = {
    "/apis/authentication.k8s.io/v1/selfsubjectreviews": ("authentication", "SelfSubjectReview", _who),
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": ("authorization", "SelfSubjectAccessReview", _may_i),
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews": ("authorization", "SelfSubjectRulesReview", _what_may_i),
    "/apis/authorization.k8s.io/v1/subjectaccessreviews": ("authorization", "SubjectAccessReview", _may_they),
}
