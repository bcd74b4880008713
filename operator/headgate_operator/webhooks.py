"""Asking webhooks, beside the passes: a receiver may take its time, and a worker must not.

A pass asks and is answered at once, often with nothing yet; when the answer is there its key is woken. An answer
belongs to one attempt of one question. All of it may be lost: then the same attempt is made again, under the same id.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol
from urllib.parse import urlsplit

from headgate_operator import contract
from headgate_operator.api.status import Status
from headgate_operator.api.text import keepable
from headgate_operator.api.webhooks import When
from headgate_operator.core.replies import NoReply, Replied, Reply
from headgate_operator.core.view import View
from headgate_operator.core.webhooks import LONGEST_MESSAGE, Question, due
from headgate_operator.egress import NotAllowedError
from headgate_operator.ports import Key, KubeError, Obj
from headgate_operator.posting import NotPostedError, Posted

log = logging.getLogger(__name__)

AT_ONCE = 16
MOST = 1000
SECRET_KEY = "secret"  # noqa: S105 - a name of a key
SIGNATURE_HEADER = "X-Headgate-Signature"
ID_HEADER = "X-Headgate-Delivery"

ReadSecret = Callable[[str, str], Awaitable[Obj | None]]
Attempt = tuple[str, int]


class Posts(Protocol):
    async def post(self, url: str, body: bytes, headers: dict[str, str], *, seconds: float) -> Posted: ...


class SecretNotUsableError(Exception):
    """The message is for the person who wrote the ModelDeployment; it never holds a value."""


class Hosts:
    """The egress allow-list of webhooks: `host` means its usual port, `host:port` that one."""

    def __init__(self, allowed: Iterable[str]) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)

    def check(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            raise NotAllowedError("has an address that cannot be understood") from None
        usual = {"http": 80, "https": 443}.get(parts.scheme)
        if usual is None or not parts.hostname or parts.username is not None or parts.fragment:
            raise NotAllowedError("has an address that is not http(s)://host, or one with a user or a fragment")
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        named = {f"{host}:{port or usual}", *([host] if port in {None, usual} else [])}
        if not named & self._allowed:
            raise NotAllowedError(f"is at {host}, which the operator's administrator has not allowed (--allow-webhook)")


class Webhooks:
    """See `ports.Webhooks`. `wake` is told the key when an answer has come; `counted` when and with what result."""

    def __init__(
        self,
        poster: Posts,
        hosts: Hosts,
        *,
        read_secret: ReadSecret,
        wake: Callable[[Key], None],
        now: Callable[[], datetime],
        counted: Callable[[str, str], None] = lambda _when, _result: None,
    ) -> None:
        self._poster, self._hosts, self._read_secret = poster, hosts, read_secret
        self._wake, self._now, self._counted = wake, now, counted
        self._told: OrderedDict[Attempt, Reply] = OrderedDict()
        self._asking: dict[Attempt, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)

    def answered(self, key: Key, view: View, status: Status, *, promotion_is_next: bool) -> View:
        """The view with the answers that have come; what is due and unasked is begun. Never waits."""
        replies: dict[Attempt, Reply] = {}
        for question in due(view, status, promotion_is_next=promotion_is_next):
            attempt = question.id, question.attempt
            if (reply := self._told.get(attempt)) is not None:
                replies[attempt] = reply
            elif attempt not in self._asking and len(self._asking) < MOST:
                task = asyncio.create_task(self._ask(key, question), name=f"webhook {question.id}")
                self._asking[attempt] = task
                task.add_done_callback(partial(self._ended, attempt))
        return replace(view, replies=replies) if replies else view

    def _ended(self, attempt: Attempt, _task: asyncio.Task[None]) -> None:
        self._asking.pop(attempt, None)

    async def close(self) -> None:
        tasks = list(self._asking.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _ask(self, key: Key, question: Question) -> None:
        async with self._turns:
            try:
                reply = await self._reply(question)
            except Exception:  # or the question would be asked again at once, for ever, without a sign
                log.exception("a webhook could not be asked", extra={"key": str(key), "webhook": question.hook.name})
                reply = NoReply("the operator could not ask")
        result = _result(question, reply)
        self._counted(str(question.hook.when), result)
        facts = {"key": str(key), "webhook": question.hook.name, "attempt": question.attempt, "result": result}
        log.info("webhook asked", extra={**facts, "why": reply.message})
        self._told[question.id, question.attempt] = reply
        while len(self._told) > MOST:
            self._told.popitem(last=False)
        self._wake(key)

    async def _reply(self, question: Question) -> Reply:
        hook = question.hook
        try:
            self._hosts.check(hook.url)
            body = json.dumps({"id": question.id, "sentAt": self._sent_at(), **question.facts}).encode()
            headers = {ID_HEADER: question.id, **await self._signature(question, body)}
            answer = await self._poster.post(hook.url, body, headers, seconds=hook.seconds)
        except (NotAllowedError, NotPostedError, SecretNotUsableError) as error:
            return NoReply(str(error))
        if not answer.good:
            return NoReply(f"answers HTTP {answer.status}")
        return Replied(False) if hook.when is When.ON_ROLLBACK else _decision(answer.body)

    def _sent_at(self) -> str:
        return self._now().astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    async def _signature(self, question: Question, body: bytes) -> dict[str, str]:
        name = question.hook.secret_name
        if name is None:
            return {}
        key = await self._signing_key(question.namespace, name)
        return {SIGNATURE_HEADER: f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"}

    async def _signing_key(self, namespace: str, name: str) -> bytes:
        """Read by name, never listed. Only a Secret that says it is meant for this."""
        try:
            secret = await self._read_secret(namespace, name)
        except KubeError:
            raise SecretNotUsableError(f"cannot be signed for: Secret {name} could not be read") from None
        if secret is None:
            raise SecretNotUsableError(f"cannot be signed for: Secret {name} does not exist")
        labels = (secret.get("metadata") or {}).get("labels") or {}
        if labels.get(contract.LABEL_USE) != contract.USE_WEBHOOK:
            wanted = f"{contract.LABEL_USE}: {contract.USE_WEBHOOK}"
            raise SecretNotUsableError(f"cannot be signed for: Secret {name} lacks the label {wanted}")
        try:
            key = base64.b64decode((secret.get("data") or {}).get(SECRET_KEY) or "", validate=True)
        except (binascii.Error, ValueError):
            key = b""
        if not key:
            raise SecretNotUsableError(f"cannot be signed for: Secret {name} has no key {SECRET_KEY}")
        return key


def _decision(body: bytes) -> Reply:
    try:
        told: Any = json.loads(body)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or not isinstance(told.get("approve"), bool):
        return NoReply('answers without {"approve": true} or false')
    message = told.get("message")
    words = keepable(message)[:LONGEST_MESSAGE] if isinstance(message, str) else ""
    return Replied(told["approve"], words)


def _result(question: Question, reply: Reply) -> str:
    if isinstance(reply, NoReply):
        return "no_answer"
    if question.hook.when is When.ON_ROLLBACK:
        return "delivered"
    return "approved" if reply.approve else "refused"
