"""Reviews: questions about the caller, answered and never stored. Whoever got in is the administrator."""

from __future__ import annotations

from headgate_local.api import bodies
from headgate_local.api.request import Request, Response

USER = {"username": "headgate-local-admin", "groups": ["system:masters", "system:authenticated"]}
WHO = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
MAY = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


def answer(request: Request) -> Response | None:
    if request.method != "POST" or request.path not in (WHO, MAY):
        return None
    # kubectl asks in protobuf and nothing else; as the answer does not depend on the question, it need not be read.
    binary = request.media_type == bodies.PROTOBUF
    review = _blank(request.path) if binary else bodies.read_object(request.media_type, request.body)
    status = (
        {"userInfo": USER} if request.path == WHO else {"allowed": True, "reason": "the only user may do everything"}
    )
    return Response(201, {**review, "metadata": {"creationTimestamp": None}, "status": status})


def _blank(path: str) -> dict[str, object]:
    group, kind = (
        ("authentication", "SelfSubjectReview") if path == WHO else ("authorization", "SelfSubjectAccessReview")
    )
    return {"apiVersion": f"{group}.k8s.io/v1", "kind": kind}
