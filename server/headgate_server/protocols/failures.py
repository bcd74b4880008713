"""Every way a request can fail, and how each protocol says it.

The shape goes by the path alone, so that a client gets its own protocol's error even where no model is loaded or
no route matches. No message holds request data.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from starlette.responses import Response

from headgate_server.validation import Detail, InvalidInput

JSON: Final = "application/json"


class RequestFailed(Exception):  # noqa: N818 - an answer on its way
    """An answer other than 200. `kind` is one of a closed list, for metrics and for our own error code."""

    def __init__(
        self,
        status: int,
        kind: str,
        message: str,
        *,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
        mlflow_code: str = "",
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.mlflow_code = mlflow_code or KINDS[kind][1]


# kind -> (code of our own shape, error_code of MLflow's)
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "bad_json": ("BAD_JSON", "BAD_REQUEST"),
    "bad_request": ("BAD_REQUEST", "BAD_REQUEST"),
    "invalid_input": ("INVALID_INPUT", "INVALID_PARAMETER_VALUE"),
    "not_found": ("NOT_FOUND", "RESOURCE_DOES_NOT_EXIST"),
    "method": ("METHOD_NOT_ALLOWED", "BAD_REQUEST"),
    "too_large": ("BODY_TOO_LARGE", "BAD_REQUEST"),
    "media_type": ("UNSUPPORTED_MEDIA_TYPE", "BAD_REQUEST"),
    "not_loaded": ("MODEL_NOT_READY", "TEMPORARILY_UNAVAILABLE"),
    "overloaded": ("OVERLOADED", "REQUEST_LIMIT_EXCEEDED"),
    "timeout": ("TIMEOUT", "DEADLINE_EXCEEDED"),
    "model_failure": ("MODEL_FAILURE", "INTERNAL_ERROR"),
    "unauthorized": ("UNAUTHORIZED", "UNAUTHENTICATED"),
    "forbidden": ("FORBIDDEN", "PERMISSION_DENIED"),
    "reload_failed": ("RELOAD_FAILED", "TEMPORARILY_UNAVAILABLE"),
    "internal": ("INTERNAL", "INTERNAL_ERROR"),
}


def answer(path: str, failed: RequestFailed) -> Response:
    """The failure in the shape of the path's protocol."""
    body: dict[str, Any]
    if path in {"/v1", "/v2"} or path.startswith(("/v1/", "/v2/")):
        body = {"error": failed.message}
    elif path in {"/invocations", "/ping", "/version"}:
        body = {"error_code": failed.mlflow_code, "message": failed.message}
    else:
        code = KINDS[failed.kind][0]
        details = [{"field": d.field, "message": d.message} for d in failed.details]
        body = {"error": {"code": code, "message": failed.message, "details": details}}
    return Response(orjson.dumps(body), failed.status, headers=failed.headers, media_type=JSON)


def invalid(error: Exception) -> RequestFailed:
    """What validation refused, with the error_code that MLflow has for such a refusal."""
    if not isinstance(error, InvalidInput):
        return RequestFailed(400, "invalid_input", str(error))
    mlflow_code = "BAD_REQUEST" if error.unreadable else ""
    return RequestFailed(400, "invalid_input", error.message, details=error.details, mlflow_code=mlflow_code)


def not_found(message: str) -> RequestFailed:
    return RequestFailed(404, "not_found", message)


def too_many_rows(most: int) -> RequestFailed:
    return RequestFailed(413, "too_large", f"more than {most} rows")
