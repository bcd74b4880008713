"""The least that an ASGI application can do: read the body, answer JSON of the length that the path says."""

from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

Message = dict[str, Any]


@cache
def answer(length: int) -> tuple[Message, Message]:
    body = b'{"echo":"' + b"x" * (length - 11) + b'"}'
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return (
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    while (await receive()).get("more_body"):
        pass
    for message in answer(int(scope["path"][1:])):
        await send(message)
