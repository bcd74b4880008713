"""The memory of several workers: what two slots hold adds up to what one process would have counted."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headgate_server import block, shares
from headgate_server.block import BEAT, OLDEST_CALL, Block, Cell
from headgate_server.counts import Counts
from headgate_server.predictions import hashed
from headgate_server.predictor import Predictor
from headgate_server.protocols.failures import KINDS
from headgate_server.reasons import LoadError, Reason
from headgate_server.shares import CODES, GROUPS, SharedCounts, SharedState, total
from headgate_server.state import NotReady
from headgate_server.together import Together
from server_settings import server_settings

ANSWERED = st.tuples(st.sampled_from(GROUPS), st.sampled_from(CODES), st.floats(0, 100))
NAMES = st.sampled_from([f"class {n}" for n in range(20)])
BINS = st.one_of(st.integers(-768, 768), st.sampled_from(shares.WORDS), NAMES, st.just("ünïcode ☃"))
EVENTS = st.lists(
    st.tuples(st.integers(0, 1), st.one_of(ANSWERED, st.sampled_from(sorted(KINDS)), BINS.map(lambda b: [b])))
)


def note(counts, event):
    match event:
        case str():
            counts.failed(event)
        case [found]:
            counts.predictions.counted(found)
        case (group, code, seconds):
            counts.answered(group, code, seconds)


@given(EVENTS)
def test_the_sum_of_the_slots_is_what_one_process_would_have_counted(events):
    shared, alone = Block(2), Counts()
    workers = [SharedCounts(slot) for slot in shared.slots]
    for n, (at, event) in enumerate(events):
        note(alone, event)
        note(workers[at], event)
        if n % 7 == 0:
            workers[at] = SharedCounts(shared.slots[at])  # another one has taken its place
    told = total(shared.slots)
    assert told.as_json() == alone.as_json()
    assert told.schema_violations == alone.schema_violations
    assert {key: row.seconds for key, row in told.rows.items()} == pytest.approx(
        {key: row.seconds for key, row in alone.rows.items()}
    )


def test_more_names_than_places_share_bins_by_their_hash_and_none_is_lost():
    shared = Block(1)
    counts = SharedCounts(shared.slots[0])
    names = [f"class {n}" for n in range(block.NAMES + 10)]
    for name in names * 2:
        counts.predictions.counted(name)
    bins = total(shared.slots).predictions.bins
    assert all(bins[name] == 2 for name in names[: block.NAMES])
    assert {hashed(name) for name in names[block.NAMES :]} <= set(bins)
    assert sum(bins.values()) == 2 * len(names)


@pytest.mark.parametrize(("code", "kept"), [(204, 200), (302, 200), (418, 400), (507, 500)])
def test_a_code_that_has_no_place_is_counted_as_its_class(code, kept):
    shared = Block(1)
    SharedCounts(shared.slots[0]).answered("predict", code, 0.1)
    assert list(total(shared.slots).rows) == [("predict", kept)]


def test_what_was_written_half_is_nothing():
    memory = memoryview(bytearray(256))
    cell = Cell(memory)
    assert cell.read() is None
    cell.write({"a": 1})
    assert cell.read() == {"a": 1}
    memory[9:10] = b"x"
    assert cell.read() is None
    memory[0:4] = b"\xff\xff\xff\xff"
    assert cell.read() is None


def test_the_longest_reason_fits():
    shared = Block(1)
    state = SharedState(server_settings(), shared.slots[0], 0.0, "id")
    for letter in ("\0", "☃", "\ud800"):
        state.failed(LoadError(Reason.LOAD_FAILED, letter * 5000))
        assert shared.slots[0].report.read()["reason"] == "LoadFailed"


@pytest.fixture
def pair():
    """A block of two workers that both run, and the whole as the first one tells it."""
    shared, config = Block(2), server_settings(workers=2, timeout=5)
    states = [SharedState(config, slot, time.monotonic(), "id") for slot in shared.slots]
    for slot in shared.slots:
        slot.begin(time.monotonic())
        slot.life.write({"pid": slot.report.read()["pid"], "spent": 0.0, "note": ""})
    predictor = Predictor(1, config)
    yield shared, states, Together(states[0], SharedCounts(shared.slots[0]), predictor, lambda: 0, shared)
    predictor.stop()


def test_the_reason_that_does_not_pass_is_told_before_one_that_does(pair):
    _, (_, second), whole = pair
    assert whole.not_ready.reason is Reason.LOADING
    second.failed(LoadError(Reason.PICKLE_REFUSED, "a pickle"))
    assert whole.not_ready == NotReady(Reason.PICKLE_REFUSED, "a pickle")


def test_what_a_dead_worker_said_is_not_its_successors_word(pair):
    shared, (_, second), whole = pair
    second.failed(LoadError(Reason.PICKLE_REFUSED, "a pickle"))
    shared.slots[1].life.write({"pid": 0, "spent": 1.5, "note": "worker 1 ended with signal 9 and is started again"})
    assert whole.not_ready.reason is Reason.LOADING
    shared.slots[1].life.write({"pid": 1, "spent": 1.5, "note": ""})
    assert whole.not_ready.reason is Reason.LOADING


def test_the_pod_drains_at_once_for_every_worker(pair):
    shared, _, whole = pair
    shared.drain()
    assert (whole.draining, whole.not_ready.reason) == (True, Reason.DRAINING)


@pytest.mark.parametrize(("moment", "seconds"), [(OLDEST_CALL, 51), (BEAT, 51)])
def test_a_worker_that_hangs_or_stands_still_fails_the_liveness_of_all(pair, moment, seconds):
    shared, _, whole = pair
    assert whole.hung is False
    shared.slots[1].moments[moment] = time.monotonic() - seconds
    assert whole.hung is True
    shared.slots[1].moments[moment] = time.monotonic() - seconds + 10
    assert whole.hung is False


def test_a_worker_that_is_not_there_hangs_not(pair):
    shared, _, whole = pair
    shared.slots[1].moments[BEAT] = 1.0
    shared.slots[1].life.write({"pid": 0, "spent": 0.0, "note": "worker 1 ended"})
    assert whole.hung is False
