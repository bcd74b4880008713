"""Reading a container's log file: whole, the tail, bounded, and followed to the end."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from headgate_local.kubelet.log_files import log_options, read_log
from headgate_local.kubelet.runtime import LogOptions


async def text(path: Path, options: LogOptions, running: list[bool] | None = None) -> str:
    chunks = [chunk async for chunk in read_log(path, options, lambda: bool(running))]
    return b"".join(chunks).decode()


@pytest.mark.parametrize(
    ("content", "lines", "expected"),
    [
        ("a\nb\nc\n", 2, "b\nc\n"),
        ("a\nb\nc", 2, "b\nc"),
        ("a\nb\n", 5, "a\nb\n"),
        ("a\nb\n", 0, ""),
        ("", 3, ""),
        ("x" * 200_000 + "\nlast\n", 1, "last\n"),
        ("first\n" + "x" * 200_000 + "\n", 1, "x" * 200_000 + "\n"),
    ],
)
async def test_tail_is_the_last_lines(tmp_path: Path, content: str, lines: int, expected: str) -> None:
    path = tmp_path / "log"
    path.write_text(content)
    assert await text(path, LogOptions(tail=lines)) == expected


async def test_bytes_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("abcdef")
    assert await text(path, LogOptions(limit_bytes=4)) == "abcd"


@pytest.mark.looptime
async def test_following_ends_with_the_container_and_misses_nothing(tmp_path: Path) -> None:
    path, running = tmp_path / "log", [True]
    path.write_text("one\n")
    reading = asyncio.create_task(text(path, LogOptions(follow=True), running))
    await asyncio.sleep(1)
    with path.open("a") as file:
        file.write("two\n")
    running.clear()
    assert await reading == "one\ntwo\n"


def test_what_plain_files_cannot_answer_is_refused() -> None:
    with pytest.raises(ValueError, match="sinceSeconds"):
        log_options({"sinceSeconds": "5"})
    assert log_options({"follow": "true", "tailLines": "3", "timestamps": "false"}) == LogOptions(follow=True, tail=3)
