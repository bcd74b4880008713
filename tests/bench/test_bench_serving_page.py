"""The page that `make bench-serving` writes, from a record made here."""

import json
from pathlib import Path

import pytest

from serving_contenders import BY_NAME
from serving_liveness import Liveness
from serving_page import page
from serving_record import Record, Start
from serving_samples import Cell, Sample

CELL = Cell("lr", 1, 16)


@pytest.fixture
def record() -> Record:
    machine = {
        "cpu": "A processor",
        "cores": 2,
        "memory_gib": 24.0,
        "kernel": "6.1",
        "python": "3.11.7",
        "system": "Debian",
        "wrk": "wrk 4.1.0",
        "load_before": 0.1,
    }
    made = Record("2026-11-21 20:00 UTC", 3, 3, machine)
    made.titles = {name: BY_NAME[name].title for name in ("headgate-v2", "mlserver", "kserve")}
    made.versions = {"mlserver": "1.7.1"}
    for number, (ours, theirs) in enumerate([(9000, 900), (12000, 1000), (5500, 500)], start=1):
        made.samples.append(Sample("headgate-v2", CELL, number, 3 * ours, 3.0, 0, 0, 700, 900, 1500, 0.4))
        made.samples.append(Sample("mlserver", CELL, number, 3 * theirs, 3.0, 0, 0, 15000, 20000, 31000, 0.1))
    made.starts["headgate-v2"] = Start([0.9, 0.7, 0.8], 101.5, 70.0)
    made.liveness["headgate-v2"] = [Liveness(200, 0, 2.0, 1.0, 8.0, 9.0), Liveness(200, 0, 2.0, 1.0, 12.0, 14.0)]
    return made


def row(text: str, beginning: str) -> str:
    return next(line for line in text.splitlines() if line.startswith(beginning))


def test_a_table_has_the_medians_and_how_far_the_rounds_lie_apart(record: Record) -> None:
    found = page(record)

    assert row(found, "| **Headgate**, V2 | not measured |").split("|")[3].strip() == "9,000; 0.7 / 0.9 / 1.5"
    theirs = row(found, "| MLServer tuned, V2 | not measured |").split("|")[3].strip()
    assert theirs == "900; 15 / 20 / 31; **11x** (10 to 12)"


def test_the_goals_stand_with_their_verdicts(record: Record) -> None:
    found = page(record)

    assert row(found, "| against MLServer tuned, V2, c = 16") == (
        "| against MLServer tuned, V2, c = 16 | 11 x | 10 x | 20 x | met |"
    )
    assert row(found, "| against KServe, V2, c = 16").endswith("| not measured |")
    assert row(found, "| start to Ready") == (
        "| start to Ready, small ONNX on disk | 0.8 s | <= 1 s | <= 0.6 s | met |"
    )
    assert row(found, "| liveness p99") == (
        "| liveness p99 while the model is busy for 2 s | 12 ms | <= 50 ms | <= 10 ms | met |"
    )


def test_a_peer_that_failed_is_told_with_its_error_and_without_this_machines_paths(record: Record) -> None:
    record.failed("kserve", "not installed", f"no matching\ndistribution in {Path.home()}/here")

    found = page(record)

    assert "* KServe, V2: not installed: no matching distribution in ~/here" in found
    assert str(Path.home()) not in record.raw()


def test_requests_that_failed_are_told_at_the_top_and_in_their_place(record: Record) -> None:
    record.samples.append(Sample("mlserver", Cell("rf", 1, 1), 1, 300, 3.0, 200, 5, 1, 1, 1, 0.1))

    found = page(record)

    assert "* 205 requests were not answered with a 200: mlserver." in found
    assert any("205 failed" in line for line in found.splitlines() if line.startswith("| MLServer"))


def test_nothing_is_said_of_failures_when_there_were_none(record: Record) -> None:
    assert "What could not be measured" not in page(record)


def test_the_raw_figures_are_json_with_a_sample_a_line_and_the_verdicts(record: Record) -> None:
    raw = record.raw()
    document = json.loads(raw)

    assert len(document["samples"]) == len(record.samples) == sum('"contender"' in line for line in raw.splitlines())
    assert document["samples"][0]["cell"] == {"model": "lr", "rows": 1, "connections": 16}
    assert {goal["verdict"] for goal in document["goals"]} == {"met", "not measured"}
    assert document["starts"]["headgate-v2"]["seconds"] == [0.9, 0.7, 0.8]


def test_an_empty_record_is_still_a_page(record: Record) -> None:
    empty = Record(record.at, 1, 1, record.machine)

    assert "not measured" in page(empty)
    assert json.loads(empty.raw())["samples"] == []
