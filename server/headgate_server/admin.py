"""Who may do more than ask for predictions: whoever has the admin key, as `Authorization: Bearer` or `x-admin-key`."""

import hmac

from starlette.requests import Request

from headgate_server.protocols.failures import RequestFailed

HEADER = "x-admin-key"


def permit(request: Request, key: str) -> None:
    """RequestFailed unless the request carries the key; without a key in the settings nobody is permitted."""
    if not key:
        raise RequestFailed(403, "forbidden", "not permitted: the server was started without HEADGATE_ADMIN_KEY")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    given = request.headers.get(HEADER) or (token.strip() if scheme.lower() == "bearer" else "")
    if not given:
        challenge = {"www-authenticate": "Bearer"}
        raise RequestFailed(
            401, "unauthorized", f"send the admin key as a bearer token or as {HEADER}", headers=challenge
        )
    if not hmac.compare_digest(given.encode(), key.encode()):
        raise RequestFailed(403, "forbidden", "that is not the admin key")
