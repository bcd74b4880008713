"""Outcomes reach whoever shall be notified, and whoever cannot be reached holds up nobody."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from conditions import until
from headgate_operator.notify import MOST, WAITS, Announced, Notifier, Sink, plain, slack
from headgate_operator.ports import Event, Obj
from headgate_operator.posting import Posted, Poster
from tiny_api import Said, TinyApi, tiny_api

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ABOUT: Obj = {
    "metadata": {"namespace": "ml", "name": "iris", "uid": "u-1"},
    "spec": {"model": {"name": "iris-classifier", "alias": "champion"}},
}
PROMOTED = Event("Promoted", "rollout 4 from version 1 to version 2 after 60 s")
ROLLED_BACK = Event("RolledBack", "rollout 5 to version 3: <b> & more", warning=True)


class Desk:
    """A notifier, its clock that never waits, and what was counted."""

    def __init__(self, folder: Path, poster: Any, **urls: str) -> None:
        self.counted: list[tuple[str, str]] = []
        self.waited: list[float] = []
        sinks = []
        for name, url in urls.items():
            file = folder / name
            file.write_text(f"{url}\n")
            sinks.append(Sink(name, file, slack if name == "slack" else plain))
        numbers = iter(range(10**6))
        self.notifier = Notifier(
            sinks,
            poster,
            now=lambda: NOW,
            unique=lambda: f"n{next(numbers)}",
            counted=lambda sink, result: self.counted.append((sink, result)),
            pause=self._pause,
        )

    async def _pause(self, seconds: float) -> None:
        self.waited.append(seconds)
        await asyncio.sleep(0)

    async def settled(self, results: int = 1) -> None:
        await until(lambda: len(self.counted) >= results, f"{results} results")


@asynccontextmanager
async def running(desk: Desk) -> AsyncIterator[Desk]:
    task = asyncio.ensure_future(desk.notifier.run())
    try:
        yield desk
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def receiving(folder: Path, *names: str) -> AsyncIterator[tuple[Desk, TinyApi]]:
    poster = Poster(guarded=False)
    async with tiny_api() as api:
        api.say(Said(200))
        async with running(Desk(folder, poster, **{name: f"{api.uri}/{name}" for name in names})) as desk:
            yield desk, api
        await poster.close()


async def test_both_kinds_of_receiver_are_told_in_their_own_words(tmp_path: Path) -> None:
    async with receiving(tmp_path, "slack", "json") as (desk, api):
        desk.notifier.offer(ABOUT, [ROLLED_BACK])
        await desk.settled(2)
        told = {asked.path: asked.body for asked in api.asked}
    assert told["/slack"] == {
        "text": "*RolledBack* ml/iris (iris-classifier): rollout 5 to version 3: &lt;b&gt; &amp; more"
    }
    assert told["/json"] == {
        "id": "n0",
        "at": "2026-03-01T12:00:00Z",
        "reason": "RolledBack",
        "type": "Warning",
        "message": "rollout 5 to version 3: <b> & more",
        "namespace": "ml",
        "name": "iris",
        "uid": "u-1",
        "model": "iris-classifier",
    }
    assert sorted(desk.counted) == [("json", "sent"), ("slack", "sent")]


async def test_only_outcomes_are_told(tmp_path: Path) -> None:
    async with receiving(tmp_path, "json") as (desk, api):
        desk.notifier.offer(ABOUT, [Event("Verified", ""), Event("Draining", ""), PROMOTED, Event("Removed", "")])
        await desk.settled()
        assert [asked.body["reason"] for asked in api.asked] == ["Promoted"]


async def test_what_fails_is_tried_again_later_and_in_order(tmp_path: Path) -> None:
    async with receiving(tmp_path, "json") as (desk, api):
        api._answers.clear()
        api.say(Said(503), Said(drop=True), Said(429), Said(200))
        desk.notifier.offer(ABOUT, [ROLLED_BACK, PROMOTED])
        await desk.settled(2)
        assert [asked.body["reason"] for asked in api.asked] == ["RolledBack"] * 4 + ["Promoted"]
    assert desk.waited == list(WAITS[:3])
    assert desk.counted == [("json", "sent")] * 2


@pytest.mark.parametrize("status", [400, 404, 302])
async def test_a_refusal_and_a_redirect_are_given_up_and_counted(tmp_path: Path, status: int) -> None:
    async with receiving(tmp_path, "json") as (desk, api):
        api._answers.clear()
        api.say(Said(status, headers={"Location": f"{api.uri}/elsewhere"}))
        desk.notifier.offer(ABOUT, [PROMOTED])
        await desk.settled()
        assert {asked.path for asked in api.asked} == {"/json"}
    assert desk.counted == [("json", "failed")]


async def test_an_address_that_changes_is_read_anew_and_one_that_is_none_is_named_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with receiving(tmp_path, "json") as (desk, api):
        (tmp_path / "json").write_text("token-without-scheme")
        desk.notifier.offer(ABOUT, [PROMOTED])
        await desk.settled()
        (tmp_path / "json").unlink()
        desk.notifier.offer(ABOUT, [PROMOTED])
        await desk.settled(2)
        (tmp_path / "json").write_text(f"{api.uri}/other")
        desk.notifier.offer(ABOUT, [PROMOTED])
        await desk.settled(3)
        assert [asked.path for asked in api.asked] == ["/other"]
    assert [result for _, result in desk.counted] == ["failed", "failed", "sent"]
    assert "token-without-scheme" not in "".join(str(record.__dict__) for record in caplog.records)


class Silent:
    """Never answers."""

    def __init__(self) -> None:
        self.asked = 0

    async def post(self, url: str, body: bytes, headers: Any, *, seconds: float) -> Posted:
        self.asked += 1
        if url.endswith("slack"):
            await asyncio.Event().wait()
        return Posted(200, b"")


async def test_one_that_hangs_holds_up_only_itself_and_the_oldest_notes_go(tmp_path: Path) -> None:
    async with running(Desk(tmp_path, Silent(), slack="http://x/slack", json="http://x/json")) as desk:
        desk.notifier.offer(ABOUT, [PROMOTED])
        await desk.settled()
        desk.notifier.offer(ABOUT, [PROMOTED] * (MOST + 3))
        assert desk.counted.count(("slack", "dropped")) == 3
        await until(lambda: desk.counted.count(("json", "sent")) > MOST - 3, "the other one gets its notes")
        assert ("slack", "sent") not in desk.counted


class Inner:
    def __init__(self) -> None:
        self.told: list[str] = []

    async def emit(self, about: Obj, events: Sequence[Event]) -> None:
        self.told += [event.reason for event in events]


async def test_telling_the_cluster_does_not_wait_for_anybody_outside(tmp_path: Path) -> None:
    inner = Inner()
    desk = Desk(tmp_path, Silent(), slack="http://x/slack")  # and nobody empties its queue
    await asyncio.wait_for(Announced(inner, desk.notifier).emit(ABOUT, [PROMOTED, ROLLED_BACK]), 5)
    assert inner.told == ["Promoted", "RolledBack"]


async def test_without_receivers_nothing_is_kept_or_sent(tmp_path: Path) -> None:
    async with running(Desk(tmp_path, Silent())) as desk:
        desk.notifier.offer(ABOUT, [PROMOTED])
        assert desk.counted == []
        assert json.dumps(list(desk.notifier._queues)) == "[]"
