"""Watches: order, selectors that start or cease to match, bookmarks, and positions that are too old."""

from __future__ import annotations

from typing import Any

import pytest

from api_world import ApiWorld, config_map
from headgate_local.api.watching import Watch

PATH = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
def world() -> ApiWorld:
    return ApiWorld()


def watch(world: ApiWorld, **query: str) -> Watch:
    found = world.send("GET", PATH, watch="true", **query).watch
    assert found is not None
    return found


async def pending(found: Watch) -> list[tuple[str, Any]]:
    """What the watch holds now; it is closed on the way."""
    found.close()
    return [(event["type"], event["object"]) async for event in found]


def names(events: list[tuple[str, Any]]) -> list[tuple[str, str]]:
    return [(kind, obj["metadata"]["name"]) for kind, obj in events]


async def test_a_watch_without_a_position_begins_with_what_is_there(world: ApiWorld) -> None:
    world.client.create(config_map("there"))
    found = watch(world)
    world.client.create(config_map("new"))
    assert names(await pending(found)) == [("ADDED", "there"), ("ADDED", "new")]


async def test_a_watch_from_a_list_misses_and_repeats_nothing(world: ApiWorld) -> None:
    world.client.create(config_map("before"))
    position = world.send("GET", PATH).body["metadata"]["resourceVersion"]
    world.client.create(config_map("between"))
    found = watch(world, resourceVersion=position)
    world.client.delete("ConfigMap", "default", "before")
    assert names(await pending(found)) == [("ADDED", "between"), ("DELETED", "before")]


async def test_an_object_that_ceases_to_match_is_deleted_for_the_watcher(world: ApiWorld) -> None:
    world.client.create(config_map("moving", labels={"app": "web"}))
    found = watch(world, labelSelector="app=web")
    world.client.patch_merge("ConfigMap", "default", "moving", {"metadata": {"labels": {"app": "api"}}})
    world.client.patch_merge("ConfigMap", "default", "moving", {"metadata": {"labels": {"app": "web"}}})
    events = await pending(found)
    assert [kind for kind, _ in events] == ["ADDED", "DELETED", "ADDED"]
    versions = [int(obj["metadata"]["resourceVersion"]) for _, obj in events]
    assert versions == sorted(versions)


async def test_a_forgotten_position_ends_the_watch_with_410(world: ApiWorld) -> None:
    world.client.create(config_map("one"))
    world.api.store.compact()
    [(kind, status)] = await pending(watch(world, resourceVersion="2"))
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")


@pytest.mark.looptime
async def test_a_watch_ends_at_its_timeout_with_a_bookmark(world: ApiWorld) -> None:
    found = watch(world, timeoutSeconds="10", allowWatchBookmarks="true")
    events = [event async for event in found]
    assert [event["type"] for event in events] == ["BOOKMARK"]
    assert events[0]["object"]["metadata"]["resourceVersion"] == str(world.api.store.version)


async def test_a_closed_watch_is_fed_no_longer(world: ApiWorld) -> None:
    found = watch(world)
    found.close()
    world.client.create(config_map("late"))
    assert await pending(found) == []
