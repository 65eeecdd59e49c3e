"""Those who wait for a task: no change is missed, no wait lasts, nothing stays behind."""

import asyncio
import time

import pytest

from gateway.tasks.waiters import Waiters

pytestmark = pytest.mark.anyio


async def test_a_change_between_two_waits_ends_the_next_one_at_once():
    waiters = Waiters()
    with waiters.waiting("a") as waiter:
        waiters.wake("a")
        waiters.wake("a")
        begun = time.monotonic()
        await waiter.wait(60)
        await waiter.wait(0.05)
    assert 0.04 < time.monotonic() - begun < 5


@pytest.mark.parametrize("told", ["a", ""])
async def test_everyone_who_waits_is_woken_and_nobody_else(told):
    waiters = Waiters()
    with waiters.waiting("a") as one, waiters.waiting("a") as two, waiters.waiting("b") as other:
        waits = [asyncio.ensure_future(waiter.wait(60)) for waiter in (one, two, other)]
        await asyncio.sleep(0)
        waiters.wake(told)
        await asyncio.sleep(0.01)
        assert [wait.done() for wait in waits] == [True, True, told == ""]
        waiters.wake("b")
        await asyncio.gather(*waits)


async def test_a_cancelled_wait_leaves_nothing_behind():
    waiters = Waiters()
    with waiters.waiting("a") as waiter:
        wait = asyncio.ensure_future(waiter.wait(60))
        await asyncio.sleep(0)
        wait.cancel()
        await asyncio.gather(wait, return_exceptions=True)
        waiters.wake("a")
        async with asyncio.timeout(5):
            await waiter.wait(60)
    assert len(waiters) == 0
