"""One timer for many: everyone has its turn in its own time, and nobody after having left."""

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from gateway.tasks.heartbeat import Heartbeat

pytestmark = pytest.mark.anyio

SECONDS = 0.2


async def test_everyone_is_called_again_and_again_in_its_own_time():
    heartbeat, called = Heartbeat(SECONDS), []
    now, begun = asyncio.get_running_loop().time, {}
    for name in range(20):
        begun[name] = now()
        heartbeat.add(partial(lambda name: called.append((name, now())), name))
        await asyncio.sleep(SECONDS / 20)
    await asyncio.sleep(SECONDS * 2)
    for name in begun:
        times = [at for one, at in called if one == name]
        assert len(times) >= 2
        assert times[0] >= begun[name] + SECONDS
        assert all(later - earlier >= SECONDS for earlier, later in pairwise(times))
    assert len({round(at, 2) for _, at in called[:20]}) > 5


async def test_who_has_left_is_not_called_even_by_another_of_the_same_moment():
    heartbeat, called = Heartbeat(SECONDS), []
    one, other = partial(called.append, "one"), partial(called.append, "other")

    def leave():
        heartbeat.discard(leave)
        heartbeat.discard(other)

    for beat in (one, leave, other):
        heartbeat.add(beat)
    await asyncio.sleep(SECONDS * 1.5)
    assert called == ["one"]
    assert len(heartbeat) == 1


async def test_a_heartbeat_that_has_stopped_starts_again():
    heartbeat, called = Heartbeat(SECONDS), asyncio.Event()
    heartbeat.add(called.set)
    heartbeat.discard(called.set)
    heartbeat.discard(called.set)
    await asyncio.sleep(SECONDS * 1.5)
    assert not called.is_set()
    heartbeat.add(called.set)
    async with asyncio.timeout(5):
        await called.wait()
