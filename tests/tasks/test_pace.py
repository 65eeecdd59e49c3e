"""Intervals and budgets."""

import asyncio
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.memory_leases import MemoryLeases
from gateway.tasks.pace import Lane, Pace

SECONDS = st.floats(0.01, 1e5)


@given(interval=SECONDS, typical=SECONDS, elapsed=st.floats(-1e6, 1e6))
def test_no_wait_is_shorter_than_the_interval_or_hides_an_end_for_long(interval, typical, elapsed):
    wait = Pace(interval, typical).next_wait(elapsed)
    assert interval <= wait <= max(interval, 8.0)


@given(durations=st.lists(SECONDS), moments=st.tuples(SECONDS, SECONDS))
def test_guessed_progress_grows_and_stays_below_the_end(durations, moments):
    pace = Pace(2.0)
    for duration in durations:
        pace.learn(duration)
    early, late = (pace.progress(moment) for moment in sorted(moments))
    assert 0.0 <= early <= late < 1.0


def test_it_asks_quickly_at_first_and_near_the_typical_end():
    pace = Pace(2.0, typical=100.0)
    assert pace.next_wait(1.0) < 3.0 < pace.next_wait(50.0)
    assert pace.next_wait(99.0) < 3.0


@pytest.mark.anyio
@pytest.mark.parametrize("per_second", [0.5, 3, 2.5, 40])
async def test_places_are_given_at_the_budgets_pace(per_second):
    lanes = [Lane("account", per_second, leases) for leases in [MemoryLeases()] * 3]
    taken = []

    async def ask(lane):
        async with lane.turn():
            taken.append(time.monotonic())

    seconds = max(1.0, 2.2 / per_second)
    asking = [asyncio.ensure_future(ask(lanes[at % 3])) for at in range(int(per_second * seconds) * 2 + 3)]
    await asyncio.sleep(seconds)
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    burst = max(1, int(per_second))
    assert seconds * per_second * 0.7 <= len(taken) <= seconds * per_second + burst


@pytest.mark.anyio
async def test_a_full_queue_sends_later_comers_away_one_by_one():
    lane = Lane("account", 10, MemoryLeases())

    async def ask():
        async with lane.turn():
            await asyncio.sleep(60)

    asking = []
    while lane.defer() is None:
        asking.append(asyncio.ensure_future(ask()))
        await asyncio.sleep(0)
    pauses = [lane.defer() for _ in range(5)]
    for one in asking:
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert len(asking) == 20
    assert all(0.08 < later - earlier < 0.12 for earlier, later in pairwise(pauses))
    assert lane.defer() is None
