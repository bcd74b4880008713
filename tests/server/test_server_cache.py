"""The cache of model directories: its limit, who uses what, killed processes, a full disk, downloads that break off."""

import asyncio
import errno
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from fake_mlflow import FakeMlflow
from headgate_server.digest import tree_digest
from headgate_server.reasons import LoadError, Reason
from headgate_server.registry import locks, progress
from headgate_server.registry.source import Located, Source
from headgate_server.registry.store import Store
from server_settings import server_settings

MODEL = "models:/iris/{}"
SIZE = 100_000


@pytest.fixture
def registry() -> Iterator[FakeMlflow]:
    """Four versions of a bit more than 100 kB each."""
    with FakeMlflow() as made:
        for n in range(4):
            made.register("iris", {"MLmodel": b"flavors: {}\n", "weights.bin": bytes([n]) * SIZE})
        yield made


@contextmanager
def using(registry: FakeMlflow, cache: Path, version: int, **given: Any) -> Iterator[Source]:
    """A process that uses that version: it holds it until it ends."""
    source = Source(server_settings(model=MODEL.format(version), registry_uri=registry.uri, cache_dir=cache, **given))
    try:
        yield source
    finally:
        source.close()


async def used(registry: FakeMlflow, cache: Path, version: int, **given: Any) -> Located:
    with using(registry, cache, version, **given) as source:
        return await source.locate()


def stored(cache: Path) -> set[str]:
    return {"sha256:" + path.name for path in (cache / "trees").iterdir()}


def last_used(cache: Path, digest: str, moment: float) -> None:
    os.utime(cache / "locks" / digest.removeprefix("sha256:"), (moment, moment))


async def three(registry: FakeMlflow, cache: Path) -> list[str]:
    """Versions 1 to 3 in the cache; the second one was used longest ago."""
    digests = [(await used(registry, cache, n)).digest for n in (1, 2, 3)]
    for digest, moment in zip(digests, (2000, 1000, 3000), strict=True):
        last_used(cache, digest, moment)
    return digests


# -- the limit ----------------------------------------------------------------------------------------------------


async def test_what_was_used_least_recently_goes_when_the_limit_is_reached(registry, tmp_path):
    one, _, three_ = await three(registry, tmp_path)
    four = await used(registry, tmp_path, 4, cache_max_bytes=int(3.5 * SIZE))
    assert stored(tmp_path) == {one, three_, four.digest}


async def test_using_a_version_again_makes_it_the_newest(registry, tmp_path):
    _, two, three_ = await three(registry, tmp_path)
    await used(registry, tmp_path, 2)
    four = await used(registry, tmp_path, 4, cache_max_bytes=int(3.5 * SIZE))
    assert stored(tmp_path) == {two, three_, four.digest}


async def test_without_a_limit_everything_stays(registry, tmp_path):
    digests = await three(registry, tmp_path)
    four = await used(registry, tmp_path, 4)
    assert stored(tmp_path) == {*digests, four.digest}


async def test_a_version_in_use_stays_whatever_the_limit_says(registry, tmp_path):
    digests = await three(registry, tmp_path)
    with using(registry, tmp_path, 2) as source:
        await source.locate()
        last_used(tmp_path, digests[1], 1)
        four = await used(registry, tmp_path, 4, cache_max_bytes=1)
    assert stored(tmp_path) == {digests[1], four.digest}


def test_a_version_that_another_process_uses_stays_until_that_process_is_gone(registry, tmp_path):
    digests = asyncio.run(three(registry, tmp_path))
    code = (
        "import sys; from pathlib import Path; from headgate_server.registry.store import Store\n"
        "store = Store(Path(sys.argv[1])); print(store.tree(sys.argv[2]), flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path), digests[0]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    with process.stdin, process.stdout:
        assert process.stdout.readline().strip() != b"None"
        store = Store(tmp_path, max_bytes=1)
        store.make_room(0)
        assert stored(tmp_path) == {digests[0]}
        process.kill()
        process.wait()
    store.make_room(0)
    assert stored(tmp_path) == set()


async def test_a_version_that_was_dropped_is_fetched_again(registry, tmp_path):
    first = await used(registry, tmp_path, 1)
    await used(registry, tmp_path, 2, cache_max_bytes=1)
    again = await used(registry, tmp_path, 1)
    assert (again.digest, again.origin) == (first.digest, "registry")


# -- several at once, and killed ones -----------------------------------------------------------------------------


async def test_one_downloads_and_the_others_take_it_from_the_cache(registry, tmp_path):
    found = await asyncio.gather(*(used(registry, tmp_path, 1) for _ in range(5)))
    assert sorted(f.origin for f in found) == ["cache"] * 4 + ["registry"]
    assert len(registry.asked("weights.bin")) == 1


async def test_what_a_killed_download_left_is_swept_away_and_a_running_one_is_not(registry, tmp_path):
    (tmp_path / "incoming-killed" / "tree").mkdir(parents=True)
    (tmp_path / "dropped-killed").mkdir()
    (tmp_path / "incoming-running" / "tree").mkdir(parents=True)
    running = locks.alone(tmp_path / "incoming-running" / "lock")
    assert running is not None
    await used(registry, tmp_path, 1)
    running.release()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(("incoming", "dropped"))] == ["incoming-running"]


async def test_a_file_system_without_locks_loses_nothing_that_is_used(registry, tmp_path, monkeypatch):
    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    first = await used(registry, tmp_path, 1)
    second = await used(registry, tmp_path, 2, cache_max_bytes=1)
    assert stored(tmp_path) == {first.digest, second.digest}


# -- a full disk --------------------------------------------------------------------------------------------------


async def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(registry, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": SIZE - 1})())
    with pytest.raises(LoadError) as caught:
        await used(registry, tmp_path, 1)
    assert (caught.value.reason, caught.value.permanent) == (Reason.STORAGE_FULL, False)
    assert not registry.asked("weights.bin")


async def test_a_full_disk_makes_room_from_what_nobody_uses(registry, tmp_path, monkeypatch):
    digests = await three(registry, tmp_path)
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": SIZE // 2})())
    four = await used(registry, tmp_path, 4)
    assert stored(tmp_path) == {digests[0], digests[2], four.digest}


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_that_fills_up_on_the_way_is_transient(registry, tmp_path, monkeypatch, number):
    def full(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(LoadError) as caught:
        await used(registry, tmp_path, 1)
    assert caught.value.reason is Reason.STORAGE_FULL


# -- downloads that break off -------------------------------------------------------------------------------------


async def test_a_file_that_breaks_off_is_continued_where_it_was(registry, tmp_path):
    registry.fail("truncate", "weights.bin", times=1)
    found = await used(registry, tmp_path, 1)
    assert found.origin == "registry"
    first, second = registry.asked("weights.bin")
    assert "range" not in first.headers
    assert second.headers["range"] == f"bytes={SIZE // 2}-"


async def test_a_file_that_changed_meanwhile_is_begun_anew(registry, tmp_path):
    registry.fail("truncate", "weights.bin", times=1)
    task = asyncio.create_task(used(registry, tmp_path, 1))
    async with asyncio.timeout(30):
        while not registry.asked("weights.bin"):  # noqa: ASYNC110 - the registry answers in a thread of its own
            await asyncio.sleep(0.005)
    registry.overwrite("iris", "1", "weights.bin", b"\xff" * SIZE)
    path = tmp_path / "expected"
    path.mkdir()
    (path / "MLmodel").write_bytes(b"flavors: {}\n")
    (path / "weights.bin").write_bytes(b"\xff" * SIZE)
    assert (await task).digest == tree_digest(path)


async def test_a_registry_that_cannot_continue_sends_the_file_anew(tmp_path):
    with FakeMlflow(chunked=True) as registry:
        registry.register("iris", {"weights.bin": b"w" * SIZE})
        registry.fail("truncate", "weights.bin", times=1)
        assert (await used(registry, tmp_path, 1)).origin == "registry"
        assert all("range" not in asked.headers for asked in registry.asked("weights.bin"))


async def test_progress_is_told_in_the_log(registry, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(progress, "SECONDS", 0)
    caplog.set_level(logging.INFO, "headgate.server")
    await used(registry, tmp_path, 1)
    told = [r.fields for r in caplog.records if r.message == "download under way"]
    assert told[-1]["percent"] == 100
    assert told[-1]["bytes"] == told[-1]["of"] == SIZE + len(b"flavors: {}\n")
