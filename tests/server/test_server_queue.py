"""Requests that share calls of the model: each gets its own answer or its own failure, and nobody waits for nothing."""

import asyncio

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from counted_model import BAD, CountedModel, batch_of, configured, until
from headgate_server.loaders.runtime import Output
from headgate_server.pace import Pace, measured
from headgate_server.predictor import Predictor
from headgate_server.protocols.failures import RequestFailed

ALONE = Pace()
SHARED = Pace(mergeable=True)
MAIN = "MainThread"


def inline() -> Pace:
    return Pace(inline=True, mergeable=True)


def predictor(threads=1, **given):
    return Predictor(threads, configured(**given))


async def ask(asked, model, pace, *values):
    """The answer as a list, or the status of the failure."""
    try:
        [output] = await asked.run(model, batch_of(*values), ["y"], pace)
    except RequestFailed as failed:
        return failed.status
    return output.values.tolist()


def doubled(values):
    return 500 if BAD in values else [2 * v for v in values]


@settings(max_examples=60, deadline=None)
@given(
    requests=st.lists(st.lists(st.sampled_from([*range(50), BAD]), min_size=1, max_size=5), min_size=1, max_size=60),
    inline=st.booleans(),
    mergeable=st.booleans(),
    threads=st.integers(1, 3),
    rows=st.sampled_from([1, 2, 7, 64]),
    wait=st.sampled_from([0, 0.001]),
)
def test_answers_and_failures_are_never_mixed_up(requests, inline, mergeable, threads, rows, wait):
    async def all_at_once():
        asked = predictor(threads, batch_max_rows=rows, batch_max_wait=wait)
        model = CountedModel()
        pace = Pace(inline=inline, mergeable=mergeable)
        answers = await asyncio.gather(*(ask(asked, model, pace, *values) for values in requests))
        asked.stop()
        assert answers == [doubled(values) for values in requests]
        assert all(len(call) <= max(rows, 5) for call in model.calls)
        assert asked.waiting == 0

    asyncio.run(all_at_once())


@pytest.mark.parametrize("pace", [inline(), SHARED])
async def test_what_arrives_in_one_turn_shares_a_call_in_the_order_of_arrival(pace):
    asked, model = predictor(), CountedModel()
    answers = await asyncio.gather(*(ask(asked, model, pace, n) for n in range(10)))
    assert answers == [[2.0 * n] for n in range(10)]
    assert model.calls == [[float(n) for n in range(10)]]
    asked.stop()


class Failing:
    """Asks, and makes nothing but trouble of the answer."""

    def done(self):
        return False

    def set_result(self, _):
        raise KeyError("5.1")


@pytest.mark.parametrize("pace", [inline(), SHARED])
async def test_one_whose_answer_fails_leaves_the_others_of_its_call_theirs(pace, caplog):
    asked, model = predictor(), CountedModel()
    others = [asyncio.ensure_future(ask(asked, model, pace, n)) for n in range(3)]
    asyncio.get_running_loop().call_soon(asked.begin, model, batch_of(5), ["y"], pace, Failing())
    assert await asyncio.gather(*others, ask(asked, model, pace, 3)) == [[0.0], [2.0], [4.0], [6.0]]
    assert model.calls == [[0.0, 1.0, 2.0, 5.0, 3.0]]
    assert [record.message for record in caplog.records] == ["an answer was not given"]
    assert "5.1" not in caplog.text
    asked.stop()


async def test_a_model_that_minds_company_has_none():
    asked, model = predictor(), CountedModel()
    await asyncio.gather(*(ask(asked, model, ALONE, n) for n in range(10)))
    assert sorted(model.calls) == [[float(n)] for n in range(10)]
    asked.stop()


async def test_what_waits_for_a_busy_thread_goes_together_then():
    asked, model = predictor(batch_max_rows=4), CountedModel(held=True)
    asking = [asyncio.create_task(ask(asked, model, SHARED, 0))]
    await until(model, 1)
    asking += [asyncio.create_task(ask(asked, model, SHARED, n)) for n in range(1, 7)]
    await asyncio.sleep(0)
    assert asked.waiting == 6
    model.go_on.set()
    assert await asyncio.gather(*asking) == [[2.0 * n] for n in range(7)]
    assert model.calls == [[0.0], [1.0, 2.0, 3.0, 4.0], [5.0, 6.0]]
    asked.stop()


async def test_batches_of_other_kinds_keep_their_place_and_go_by_themselves():
    asked, model = predictor(), CountedModel()
    other = batch_of(9).arrays["x"].astype(np.float32)
    waiting = [asked.run(model, batch_of(1), ["y"], SHARED)]
    waiting.append(asked.run(model, type(batch_of(1))({"x": other}, 1), ["y"], SHARED))
    waiting.append(asked.run(model, batch_of(2), ["y"], SHARED))
    found = [outputs[0].values.tolist() for outputs in await asyncio.gather(*waiting)]
    assert found == [[2.0], [18.0], [4.0]]
    assert model.calls == [[1.0, 2.0], [9.0]]
    asked.stop()


async def test_a_failed_call_is_made_once_more_for_each_alone():
    asked, model = predictor(), CountedModel()
    answers = await asyncio.gather(*(ask(asked, model, SHARED, n) for n in (1, BAD, 3)))
    assert answers == [[2.0], 500, [6.0]]
    assert model.calls == [[1.0, BAD, 3.0], [1.0], [BAD], [3.0]]
    asked.stop()


async def test_outputs_that_cannot_be_parted_are_made_alone():
    class Total(CountedModel):
        def run(self, batch, wanted):
            super().run(batch, wanted)
            return [Output("y", np.array([batch.arrays["x"].sum()]))]

    asked, model = predictor(), Total()
    assert not measured(model).mergeable
    answers = await asyncio.gather(*(ask(asked, model, SHARED, n) for n in (1, 2)))
    assert answers == [[1.0], [2.0]]
    asked.stop()


@pytest.mark.looptime
async def test_a_window_gathers_and_ends_early_when_the_call_is_full():
    asked, model, pace = predictor(batch_max_wait=5, batch_max_rows=3), CountedModel(), inline()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(ask(asked, model, pace, 1))
    await asyncio.sleep(3)
    second = asyncio.create_task(ask(asked, model, pace, 2))
    await asyncio.gather(first, second)
    assert (loop.time(), model.calls) == (5, [[1.0, 2.0]])
    await asyncio.gather(*(ask(asked, model, pace, n) for n in (3, 4, 5)))
    assert (loop.time(), model.calls[1:]) == (5, [[3.0, 4.0, 5.0]])
    asked.stop()


async def test_a_lone_request_runs_on_the_loop_without_a_wait_and_elsewhere_where_it_would_take_long():
    asked, model = predictor(), CountedModel()
    assert await ask(asked, model, inline(), 1) == [2.0]
    assert model.threads == {MAIN}
    await ask(asked, model, Pace(inline=True, mergeable=True, first=0.0001, more=0.0005), 1, 2, 3, 4)
    assert len(model.threads) == 2
    asked.stop()


async def test_a_shared_call_on_the_loop_is_no_longer_than_a_single_one_may_be():
    asked, model = predictor(), CountedModel()
    pace = Pace(inline=True, mergeable=True, first=0.0004, more=0.0003)
    await asyncio.gather(*(ask(asked, model, pace, n) for n in range(5)))
    assert model.calls == [[0.0, 1.0, 2.0], [3.0, 4.0]]
    assert model.threads == {MAIN}
    asked.stop()


async def test_one_slow_call_on_the_loop_was_the_last_one_there(monkeypatch):
    asked, model, pace = predictor(), CountedModel(), inline()
    monkeypatch.setattr("headgate_server.calls.SLOW_SECONDS", -1.0)
    await ask(asked, model, pace, 1)
    assert model.threads == {MAIN}
    assert not pace.inline
    model.threads.clear()
    await ask(asked, model, pace, 1)
    assert MAIN not in model.threads
    asked.stop()


async def test_one_more_than_may_wait_is_told_to_come_again():
    asked, model = predictor(max_queue=3), CountedModel(held=True)
    asking = [asyncio.create_task(ask(asked, model, ALONE, 0))]
    await until(model, 1)
    asking += [asyncio.create_task(ask(asked, model, ALONE, n)) for n in range(1, 4)]
    await asyncio.sleep(0)
    with pytest.raises(RequestFailed) as refused:
        asked.admit()
    assert (refused.value.status, refused.value.headers) == (429, {"retry-after": "1"})
    assert await ask(asked, model, ALONE, 9) == 429
    model.go_on.set()
    assert await asyncio.gather(*asking) == [[2.0 * n] for n in range(4)]
    asked.admit()
    asked.stop()


async def test_nobody_is_let_in_who_could_not_be_answered_in_time():
    asked, model = predictor(timeout=30), CountedModel(held=True)
    asking = [asyncio.create_task(ask(asked, model, ALONE, n)) for n in range(3)]
    await until(model, 1)
    asked.calls.mean_share = 16.0  # of late a call took 16 s, and two wait already
    with pytest.raises(RequestFailed) as refused:
        asked.admit()
    assert refused.value.headers == {"retry-after": "32"}
    model.go_on.set()
    await asyncio.gather(*asking)
    asked.stop()


async def test_who_was_not_reached_in_time_is_504_and_costs_the_model_nothing():
    asked, model = predictor(timeout=0.05), CountedModel(held=True)
    answers = await asyncio.gather(*(ask(asked, model, ALONE, n) for n in range(3)))
    assert answers == [504] * 3
    model.go_on.set()
    assert await ask(predictor(), model, ALONE, 8) == [16.0]
    assert model.calls == [[0.0], [8.0]]
    asked.stop()


def test_a_row_alone_and_in_company_is_measured_at_load():
    pace = measured(CountedModel())
    assert (pace.inline, pace.mergeable, pace.elements) == (True, True, 1)
    assert pace.first > 0


def test_a_model_whose_time_hangs_on_values_never_runs_on_the_loop():
    model = CountedModel()
    model.steady = False
    assert (measured(model).inline, measured(model).mergeable) == (False, True)


@pytest.mark.parametrize("size", [1.0, 1e-7])
def test_a_model_that_looks_at_its_neighbours_is_left_alone(size):
    class Centred(CountedModel):
        def run(self, batch, wanted):
            [output] = super().run(batch, wanted)
            return [Output("y", size * (output.values - 0.5 * output.values.mean()))]

    assert not measured(Centred()).mergeable


def test_nothing_is_concluded_of_a_model_that_refuses_made_up_rows():
    class Refusing(CountedModel):
        def run(self, batch, wanted):
            raise ValueError("no such row")

    assert measured(Refusing()) == Pace()
