"""Asking webhooks over HTTP: signed, only where it is allowed, and whatever they answer is harmless."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from conditions import until
from core_lab import Lab, serving
from headgate_operator.api.status import Status
from headgate_operator.api.webhooks import WebhookSpec, When
from headgate_operator.core.replies import NoReply, Replied, Reply
from headgate_operator.core.view import View
from headgate_operator.core.webhooks import due
from headgate_operator.egress import NotAllowedError
from headgate_operator.ports import Key, Obj, UnavailableError
from headgate_operator.posting import Poster
from headgate_operator.webhooks import ID_HEADER, SIGNATURE_HEADER, Hosts, Webhooks
from tiny_api import Said, TinyApi, tiny_api

KEY = Key("default", "iris")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Desk:
    """The adapter under test with an object that waits for its webhook's word."""

    webhooks: Webhooks
    lab: Lab
    woken: list[Key] = field(default_factory=list)
    counted: list[tuple[str, str]] = field(default_factory=list)
    secrets: dict[str, Obj | None] = field(default_factory=dict)

    def look(self) -> View:
        view, status = self._now()
        return self.webhooks.answered(KEY, view, status, promotion_is_next=True)

    def _now(self) -> tuple[View, Status]:
        return self.lab.view(), self.lab.status

    async def reply(self) -> Reply:
        answers = len(self.woken)
        assert self.look().replies == {}
        await until(lambda: len(self.woken) > answers, "an answer")
        (reply,) = self.look().replies.values()
        return reply


def waiting(url: str, **more: Any) -> Lab:
    lab = serving()
    hook = WebhookSpec(name="bot", url=url, when=When.BEFORE_PROMOTION, **more)
    lab.edit(webhooks=(hook,))
    lab.want("2")
    lab.settle()
    assert lab.candidate == "2"
    return lab


@asynccontextmanager
async def asking(lab: Lab, *hosts: str) -> AsyncIterator[Desk]:
    poster = Poster(guarded=True)
    desk = Desk(None, lab)  # type: ignore[arg-type]

    async def read_secret(namespace: str, name: str) -> Obj | None:
        if name == "unreadable":
            raise UnavailableError("internal words")
        return desk.secrets.get(f"{namespace}/{name}")

    desk.webhooks = Webhooks(
        poster,
        Hosts(hosts),
        read_secret=read_secret,
        wake=desk.woken.append,
        now=lambda: NOW,
        counted=lambda when, result: desk.counted.append((when, result)),
    )
    try:
        yield desk
    finally:
        await desk.webhooks.close()
        await poster.close()


def host_of(api: TinyApi) -> str:
    return api.uri.removeprefix("http://")


def secret(**data: str) -> Obj:
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"labels": {"headgate.dev/use": "webhook"}}, "data": encoded}


async def answer_to(said: Said, **more: Any) -> tuple[Reply, TinyApi, Desk]:
    async with tiny_api() as api:
        api.say(said)
        async with asking(waiting(f"{api.uri}/approve?x=1", **more), host_of(api)) as desk:
            return await desk.reply(), api, desk


async def test_a_question_names_what_is_about_to_happen_and_its_answer_is_taken() -> None:
    reply, api, desk = await answer_to(Said(200, {"approve": True, "message": "go\ud83d"}))
    assert reply == Replied(True, "go\ufffd")
    assert (api.last.method, api.last.path, api.last.query) == ("POST", "/approve", {"x": "1"})
    assert api.last.headers[ID_HEADER.lower()] == api.last.body["id"] == "uid-1/2/bot"
    assert api.last.body["sentAt"] == "2026-03-01T12:00:00Z"
    assert (api.last.body["when"], api.last.body["to"]["version"]) == ("BeforePromotion", "2")
    assert SIGNATURE_HEADER.lower() not in api.last.headers
    assert desk.woken == [KEY]
    assert desk.counted == [("BeforePromotion", "approved")]


async def test_a_no_is_taken_with_its_words_cut_to_what_status_holds() -> None:
    reply, _, desk = await answer_to(Said(201, {"approve": False, "message": "n" * 1000}))
    assert reply == Replied(False, "n" * 256)
    assert desk.counted == [("BeforePromotion", "refused")]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (Said(200, {"approve": "yes"}), "answers without"),
        (Said(200, "[]"), "answers without"),
        (Said(200, "approve"), "answers without"),
        (Said(200, '{"approve": true, "x": "' + "y" * 70_000 + '"}'), "more than is sensible"),
        (Said(500, {"approve": True, "secret": "internal words"}), "HTTP 500"),
        (Said(302, "", headers={"Location": "http://169.254.169.254/"}), "redirects (HTTP 302), which is not followed"),
        (Said(drop=True), "breaks off in mid answer"),
    ],
)
async def test_everything_else_is_no_answer_and_is_not_repeated(said: Said, why: str) -> None:
    reply, api, desk = await answer_to(said)
    assert isinstance(reply, NoReply)
    assert why in reply.message
    assert "internal words" not in reply.message
    assert {asked.path for asked in api.asked} == {"/approve"}
    assert desk.counted == [("BeforePromotion", "no_answer")]


async def test_a_receiver_that_takes_too_long_is_no_answer() -> None:
    release = asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", slow)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
    lab = waiting(f"http://127.0.0.1:{port}/")
    (hook,) = lab.spec.webhooks
    lab.edit(webhooks=(replace(hook, timeout=timedelta(seconds=0.05)),))
    lab.settle()
    async with asking(lab, f"127.0.0.1:{port}") as desk:
        assert await desk.reply() == NoReply("does not answer within 0.05 s")
    release.set()
    await runner.cleanup()


async def test_a_request_is_signed_with_the_labelled_secret() -> None:
    async with tiny_api() as api:
        api.say(Said(200, {"approve": True}))
        async with asking(waiting(f"{api.uri}/", secret_name="key"), host_of(api)) as desk:
            desk.secrets["default/key"] = secret(secret="s3cret")
            assert await desk.reply() == Replied(True)
        body = json.dumps(api.last.body).encode()
        expected = hmac.new(b"s3cret", body, hashlib.sha256).hexdigest()
        assert api.last.headers[SIGNATURE_HEADER.lower()] == f"sha256={expected}"


@pytest.mark.parametrize(
    ("name", "stored", "why"),
    [
        ("key", None, "Secret key does not exist"),
        ("key", {"metadata": {"labels": {"headgate.dev/use": "registry"}}, "data": {}}, "lacks the label"),
        ("key", secret(other="x"), "has no key secret"),
        ("key", {**secret(), "data": {"secret": "%%%"}}, "has no key secret"),
        ("unreadable", None, "could not be read"),
    ],
)
async def test_without_its_secret_nothing_is_sent(name: str, stored: Obj | None, why: str) -> None:
    async with tiny_api() as api:
        api.say(Said(200, {"approve": True}))
        async with asking(waiting(f"{api.uri}/", secret_name=name), host_of(api)) as desk:
            desk.secrets["default/key"] = stored
            reply = await desk.reply()
        assert isinstance(reply, NoReply)
        assert why in reply.message
        assert "internal words" not in reply.message
        assert api.asked == []


async def test_a_host_that_is_not_allowed_is_not_contacted() -> None:
    async with tiny_api() as api:
        api.say(Said(200, {"approve": True}))
        async with asking(waiting(f"{api.uri}/"), "bots.example.com") as desk:
            reply = await desk.reply()
        assert isinstance(reply, NoReply)
        assert "--allow-webhook" in reply.message
        assert api.asked == []


async def test_a_listed_name_that_leads_to_this_machine_is_refused_at_the_connection() -> None:
    async with tiny_api() as api:
        api.say(Said(200, {"approve": True}))
        port = host_of(api).rpartition(":")[2]
        async with asking(waiting(f"http://localhost:{port}/"), f"localhost:{port}") as desk:
            assert await desk.reply() == NoReply(
                "has a host name that cannot be resolved, or not to an address that is allowed"
            )
        assert api.asked == []


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://bots.example.com/x", True),
        ("http://bots.example.com/x", True),
        ("https://BOTS.example.com:443/x?y=z", True),
        ("https://bots.example.com:8443/x", False),
        ("https://other.example.com:8443/x", True),
        ("https://other.example.com/x", False),
        ("https://bots.example.com.evil.org/x", False),
        ("https://bots.example.com@evil.org/x", False),
        ("https://user:password@bots.example.com/x", False),
        ("ftp://bots.example.com/x", False),
        ("https://[fd00::1]/x", True),
        ("https://[fd00::1", False),
        ("https://bots.example.com:99999/x", False),
    ],
)
def test_a_host_means_its_usual_port_and_a_port_itself(url: str, allowed: bool) -> None:
    hosts = Hosts(["bots.example.com", "other.example.com:8443", "[fd00::1]"])
    if allowed:
        hosts.check(url)
    else:
        with pytest.raises(NotAllowedError):
            hosts.check(url)


async def test_an_attempt_is_made_once_however_often_it_is_looked_at() -> None:
    async with tiny_api() as api:
        api.say(Said(200, {"approve": True}))
        async with asking(waiting(f"{api.uri}/"), host_of(api)) as desk:
            for _ in range(5):
                desk.look()
            await until(lambda: bool(desk.woken), "an answer")
            for _ in range(5):
                assert len(desk.look().replies) == 1
        assert len(api.asked) == 1


async def test_what_is_not_due_is_not_asked() -> None:
    lab = serving()
    async with asking(lab) as desk:
        view, status = desk._now()
        assert due(view, status, promotion_is_next=True) == ()
        assert desk.webhooks.answered(KEY, view, status, promotion_is_next=True) is view
