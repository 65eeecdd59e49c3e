"""Intervals and budgets."""

import asyncio
import math
import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.state.memory_leases import MemoryLeases
from gateway.tasks.clock import SetClock
from gateway.tasks.pace import Lane, Pace
from tests.bench.films import count_busiest

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
@pytest.mark.parametrize("per_second", [0.8, 3, 2.5, 40])
async def test_turns_come_at_the_budgets_pace_and_in_no_burst(per_second):
    lanes = [Lane("account", per_second, leases) for leases in [MemoryLeases()] * 3]
    clock, taken = SetClock(0.0, asked=0.0), []

    async def ask_for_ever(lane):
        while True:
            is_ours, room = await lane.wait_turn(clock, is_new=False)
            if is_ours:
                taken.append(clock.now())
            await asyncio.sleep(room - clock.now())

    seconds = max(1.0, 2.5 / per_second)
    asking = [asyncio.ensure_future(ask_for_ever(lanes[at % 3])) for at in range(int(per_second * 5) + 3)]
    await asyncio.sleep(seconds)
    await cancelled(asking)
    assert seconds * per_second * 0.7 <= len(taken) <= seconds * per_second + 1
    window = max(1.0, 1.0 / per_second)
    assert count_busiest(taken, window) <= math.ceil(per_second * window)
    assert count_busiest(taken, 5 / per_second) <= 6


class StalledLeases(MemoryLeases):
    """Answers after the event loop was held up."""

    async def take_turn(self, queue, *, gap, patience):
        turn = await super().take_turn(queue, gap=gap, patience=patience)
        time.sleep(0.2)  # noqa: ASYNC251 - this is what is tested
        return turn


@pytest.mark.anyio
async def test_a_turn_that_was_overslept_is_not_used_and_asked_for_again_at_once():
    clock = SetClock(1000.0)
    is_ours, room = await Lane("account", 10, StalledLeases()).wait_turn(clock, is_new=False)
    assert not is_ours
    assert room <= clock.now()


@pytest.mark.anyio
async def test_newcomers_go_to_the_end_of_a_round():
    lane, clock = Lane("account", 10, MemoryLeases()), SetClock(1000.0)
    first = await lane.wait_turn(clock, is_new=True)
    later = [await lane.wait_turn(clock, is_new=True) for _ in range(5)]
    assert [is_ours for is_ours, _ in [first, *later]] == [True] + [False] * 5
    assert all(0.1 < second - first < 0.13 for (_, first), (_, second) in pairwise([first, *later]))


@pytest.mark.anyio
async def test_those_who_return_wait_for_their_turn_as_far_as_it_is_near():
    lane, clock = Lane("account", 10, MemoryLeases()), SetClock(1000.0)
    asking = [asyncio.ensure_future(lane.wait_turn(clock, is_new=False)) for _ in range(40)]
    await asyncio.sleep(0.05)
    sent_away = [one.result() for one in asking[1:] if one.done()]
    await cancelled(asking)
    assert 8 <= len(sent_away) <= 14, "about 3 s of turns are waited for"
    assert not any(is_ours for is_ours, _ in sent_away)


async def cancelled(works):
    for work in works:
        work.cancel()
    await asyncio.gather(*works, return_exceptions=True)
