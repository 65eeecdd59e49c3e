"""Entries that are discarded in time, and those that are not."""

import asyncio

import pytest

from gateway.transport import TimeoutQueue

pytestmark = pytest.mark.anyio

STEP = 0.05


async def test_an_entry_that_stays_is_late_once_within_two_turns():
    late: list[str] = []
    queue = TimeoutQueue[str](STEP, late.append)
    queue.add("a")
    await asyncio.sleep(STEP / 2)
    assert late == []
    await asyncio.sleep(2 * STEP)
    assert late == ["a"]
    await asyncio.sleep(3 * STEP)
    assert late == ["a"]


async def test_an_entry_waits_for_one_whole_turn_at_least():
    late: list[str] = []
    queue = TimeoutQueue[str](STEP, late.append)
    queue.add("first")
    await asyncio.sleep(STEP * 0.8)
    queue.add("second")
    await asyncio.sleep(STEP * 0.8)
    assert "second" not in late
    await asyncio.sleep(STEP * 1.5)
    assert late == ["first", "second"]


@pytest.mark.parametrize("turns", [0, 1.5])
async def test_what_is_discarded_is_never_late(turns: float):
    late: list[str] = []
    queue = TimeoutQueue[str](STEP, late.append)
    queue.add("a")
    queue.add("b")
    await asyncio.sleep(turns * STEP)
    queue.discard("a")
    await asyncio.sleep(3 * STEP)
    assert late == ["b"]


async def test_a_queue_that_ran_empty_works_again_and_discarding_twice_does_nothing():
    late: list[str] = []
    queue = TimeoutQueue[str](STEP, late.append)
    queue.add("a")
    queue.discard("a")
    queue.discard("a")
    await asyncio.sleep(2.5 * STEP)
    queue.add("b")
    await asyncio.sleep(2.5 * STEP)
    assert late == ["b"]


async def test_an_entry_may_be_added_anew_when_it_is_late():
    seen: list[str] = []

    def again(entry: str) -> None:
        seen.append(entry)
        if len(seen) < 3:
            queue.add(entry)

    queue = TimeoutQueue[str](STEP / 5, again)
    queue.add("a")
    await asyncio.sleep(3 * STEP)
    assert seen == ["a", "a", "a"]
