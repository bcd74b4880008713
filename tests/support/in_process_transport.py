"""The operator's `Transport` over the in-process API server: no sockets, no time, and a hook around every call.

A hook sees each call before it reaches the server and each answer after it: it may answer instead, or raise. That is
how tests make a call fail in every way, and a process die between a write and its answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from headgate_local.api.request import Request
from headgate_local.api.server import ApiServer
from headgate_operator.kube import Reply

Obj = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """One request to the API server, counted from 0."""

    number: int
    method: str
    path: str
    body: Obj | None

    @property
    def writes(self) -> bool:
        return self.method != "GET"

    def __str__(self) -> str:
        return f"#{self.number} {self.method} {self.path}"


class CrashError(BaseException):
    """The process dies here. Not an Exception: nothing in the operator may survive it."""


Before = Callable[[Call], Reply | None]
After = Callable[[Call, Reply], None]


class InProcessTransport:
    def __init__(self, api: ApiServer) -> None:
        self._api = api
        self.calls: list[Call] = []
        self.before: Before = lambda _call: None
        self.after: After = lambda _call, _reply: None

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        content_type: str,
        body: Obj | None,
        timeout: float,
    ) -> Reply:
        call = Call(len(self.calls), method, path, body)
        self.calls.append(call)
        instead = self.before(call)
        if instead is not None:
            return instead
        sent = json.dumps(body).encode() if body is not None else b""
        headers = {"content-type": content_type, "accept": "application/json", "user-agent": "headgate-operator"}
        answer = self._api.handle(Request(method, unquote(path), query, headers, sent))
        reply = Reply(answer.status, answer.body, dict(answer.headers))  # the server gives out copies
        self.after(call, reply)
        return reply


def refusal(status: int, reason: str, message: str = "injected") -> Reply:
    """An answer as the API server gives it when it says no."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "reason": reason}
    return Reply(status, {**body, "message": message})
