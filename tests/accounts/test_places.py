"""Places over all replicas: taken together, renewed by one task, never leaked."""

import asyncio
import time

import pytest

from gateway.accounts.places import Places
from gateway.state.memory_leases import MemoryLeases
from gateway.state.store import Slot, StoreUnavailable

pytestmark = pytest.mark.anyio

ONE = Slot("one", 1)
TWO = Slot("two", 2)


class SlowLeases(MemoryLeases):
    """A store that answers late."""

    delay = 0.05

    async def acquire(self, slots, *, ttl):
        held = await super().acquire(slots, ttl=ttl)
        await asyncio.sleep(self.delay)
        return held


class AwayLeases(MemoryLeases):
    """A store that does not answer at all."""

    async def acquire(self, slots, *, ttl):
        raise StoreUnavailable("away")

    release = renew = acquire


async def free(leases, slot: Slot) -> int:
    """Return how many places are free, by taking them all for a moment."""
    helds = []
    while held := await leases.acquire([slot], ttl=5):
        helds.append(held)
    for held in helds:
        await leases.release(held)
    return len(helds)


async def settle_down() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_all_slots_or_none(leases):
    places = Places(leases)
    first = await places.hold([TWO, ONE])
    assert first is not None
    assert await places.hold([TWO, ONE]) is None
    await settle_down()
    assert await free(leases, TWO) == 1
    places.give_back(first)
    places.give_back(first)
    await settle_down()
    assert (await free(leases, ONE), await free(leases, TWO)) == (1, 2)


async def test_no_slots_need_no_store():
    assert await Places(AwayLeases()).hold([]) == ()


async def test_a_store_that_is_away_refuses_nobody():
    places = Places(AwayLeases())
    assert await places.hold([ONE]) == ()
    assert await places.hold([ONE]) == ()


async def test_a_place_that_comes_too_late_is_given_back(monkeypatch):
    monkeypatch.setattr("gateway.accounts.places._PATIENCE_SECONDS", 0.01)
    leases = SlowLeases()
    places = Places(leases)
    started = time.monotonic()
    assert await places.hold([ONE]) == ()
    assert time.monotonic() - started < 0.045
    await asyncio.sleep(0.08)
    leases.delay = 0
    assert await free(leases, ONE) == 1


@pytest.mark.parametrize("after", [0.0, 0.02, 0.07])
async def test_a_cancelled_hold_leaves_nothing_behind(after):
    leases = SlowLeases()
    places = Places(leases)
    task = asyncio.create_task(places.hold([ONE, TWO]))
    await asyncio.sleep(after)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    await asyncio.sleep(0.12)
    leases.delay = 0
    assert (await free(leases, ONE), await free(leases, TWO)) == (1, 2)


async def test_one_task_renews_what_is_held_and_nothing_else(leases):
    places = Places(leases, ttl=0.15)
    async with places.running():
        kept, gone = await places.hold([ONE]), await places.hold([TWO])
        places.give_back(gone)
        await asyncio.sleep(0.5)
        assert await free(leases, ONE) == 0
        assert await free(leases, TWO) == 2
        places.give_back(kept)
        await settle_down()
        assert await free(leases, ONE) == 1


async def test_a_renewal_that_ends_too_late_holds_nothing(leases):
    class SlowRenewals(MemoryLeases):
        async def renew(self, held, *, ttl):
            renewed = await super().renew(held, ttl=ttl)
            await asyncio.sleep(0.05)
            return renewed

    places = Places(SlowRenewals(), ttl=0.3)
    async with places.running():
        held = await places.hold([ONE])
        await asyncio.sleep(0.12)
        places.give_back(held)
        await asyncio.sleep(0.05)
        assert not places._held


async def test_a_place_that_was_lost_is_forgotten(leases):
    places = Places(leases, ttl=0.15)
    async with places.running():
        (token,) = await places.hold([ONE])
        await leases.release(places._held[token])
        await asyncio.sleep(0.1)
        assert not places._held


async def test_a_process_that_dies_gives_its_places_back_by_time(leases):
    assert await Places(leases, ttl=0.05).hold([ONE])
    assert await free(leases, ONE) == 0
    await asyncio.sleep(0.07)
    assert await free(leases, ONE) == 1
