"""The contract of counted places and queues: the same tests over memory and Valkey."""

import asyncio

import pytest

from gateway.state.store import Held, Slot

pytestmark = pytest.mark.anyio


async def test_a_place_is_held_until_it_is_given_back(lease_clients):
    leases = lease_clients[0]
    held = await leases.acquire([Slot("a", 1)], ttl=60)

    assert held.slot == "a"
    assert await leases.acquire([Slot("a", 1)], ttl=60) is None
    await leases.release(held)
    assert (await leases.acquire([Slot("a", 1)], ttl=60)).token != held.token


async def test_the_first_slot_with_a_place_is_taken(lease_clients):
    leases = lease_clients[0]
    slots = [Slot("a", 1), Slot("b", 2), Slot("none", 0)]

    assert [(await leases.acquire(slots, ttl=60)).slot for _ in range(3)] == ["a", "b", "b"]
    assert await leases.acquire(slots, ttl=60) is None
    assert await leases.acquire([], ttl=60) is None


async def test_a_dead_holder_gives_its_place_back_by_time(lease_clients):
    leases = lease_clients[0]
    lost = await leases.acquire([Slot("a", 1)], ttl=0.02)
    await asyncio.sleep(0.04)
    held = await leases.acquire([Slot("a", 1)], ttl=60)

    assert await leases.renew(lost, ttl=60) is None
    await leases.release(lost)
    assert await leases.acquire([Slot("a", 1)], ttl=60) is None
    assert await leases.renew(held, ttl=60) is not None


async def test_a_place_that_ran_out_is_lost_even_if_nobody_took_it(lease_clients):
    leases = lease_clients[0]
    lost = await leases.acquire([Slot("a", 2)], ttl=0.02)
    await leases.acquire([Slot("a", 2)], ttl=60)
    await asyncio.sleep(0.04)

    assert await leases.renew(lost, ttl=60) is None


async def test_a_renewed_place_is_kept(lease_clients):
    leases = lease_clients[0]
    held = await leases.acquire([Slot("a", 1)], ttl=0.1)
    renewed = await leases.renew(held, ttl=60)
    await asyncio.sleep(0.12)

    assert (renewed.slot, renewed.token) == (held.slot, held.token)
    assert renewed.until > held.until + 30
    assert await leases.acquire([Slot("a", 1)], ttl=60) is None


async def test_a_short_renewal_does_not_end_another_holder(lease_clients):
    leases = lease_clients[0]
    await leases.acquire([Slot("a", 2)], ttl=60)
    await leases.acquire([Slot("a", 2)], ttl=0.02)
    await asyncio.sleep(0.04)

    assert await leases.acquire([Slot("a", 2)], ttl=0.02) is not None
    assert await leases.acquire([Slot("a", 2)], ttl=60) is None


async def test_a_place_that_was_never_held_is_not_renewed_and_giving_it_back_does_nothing(lease_clients):
    stranger = Held("a", "0", 0.0)

    assert await lease_clients[0].renew(stranger, ttl=60) is None
    await lease_clients[0].release(stranger)
    await lease_clients[0].release(stranger)
    assert await lease_clients[0].acquire([Slot("a", 1)], ttl=60) is not None


async def test_a_cap_that_shrinks_lets_nobody_in_until_enough_have_left(lease_clients):
    leases = lease_clients[0]
    first = await leases.acquire([Slot("a", 2)], ttl=60)
    second = await leases.acquire([Slot("a", 2)], ttl=60)

    assert await leases.acquire([Slot("a", 1)], ttl=60) is None
    await leases.release(first)
    assert await leases.acquire([Slot("a", 1)], ttl=60) is None
    await leases.release(second)
    assert await leases.acquire([Slot("a", 1)], ttl=60) is not None


async def test_a_storm_never_exceeds_a_cap_and_all_places_return(lease_clients):
    caps = {"a": 3, "b": 5}
    slots = [Slot(key, cap) for key, cap in caps.items()]
    inside = dict.fromkeys(caps, 0)
    served = 0

    async def visit(number: int) -> None:
        nonlocal served
        leases = lease_clients[number % len(lease_clients)]
        while (held := await leases.acquire(slots, ttl=60)) is None:
            await asyncio.sleep(0.001)
        inside[held.slot] += 1
        assert inside[held.slot] <= caps[held.slot]
        await asyncio.sleep(0.002)
        inside[held.slot] -= 1
        served += 1
        await leases.release(held)

    await asyncio.gather(*(visit(number) for number in range(100)))
    assert served == 100
    assert [(await lease_clients[0].acquire(slots, ttl=60)).slot for _ in range(8)] == ["a"] * 3 + ["b"] * 5


async def test_a_cancelled_visitor_leaves_the_count_true(lease_clients):
    leases = lease_clients[0]
    for _ in range(20):
        call = asyncio.ensure_future(leases.acquire([Slot("a", 50)], ttl=0.05))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    await asyncio.sleep(0.1)

    taken = [await leases.acquire([Slot("a", 3)], ttl=60) for _ in range(4)]
    assert [held is not None for held in taken] == [True, True, True, False]


async def test_turns_are_a_gap_apart_whoever_takes_them(lease_clients):
    turns = [
        await lease_clients[at % len(lease_clients)].take_turn("q", gap=10.0, patience=25.0)
        for at in range(3)
    ]

    assert [turn.wait for turn in turns] == pytest.approx([0.0, 10.0, 20.0], abs=0.5)
    assert (await lease_clients[0].take_turn("another", gap=10.0, patience=0.0)).wait == 0.0


async def test_an_idle_queue_saves_no_turns_up(lease_clients):
    leases = lease_clients[0]
    await leases.take_turn("q", gap=0.02, patience=0.0)
    await asyncio.sleep(0.2)
    turns = [await leases.take_turn("q", gap=0.5, patience=0.0) for _ in range(3)]

    assert [turn.wait for turn in turns] == [0.0, None, None]


async def test_everyone_has_a_place_to_return_to_with_a_turn_or_without(lease_clients):
    leases = lease_clients[0]
    turns = [await leases.take_turn("q", gap=10.0, patience=15.0) for _ in range(5)]

    assert [turn.wait is None for turn in turns] == [False, False, True, True, True]
    assert [turn.back for turn in turns] == pytest.approx([0.0, 10.0, 20.0, 30.0, 40.0], abs=0.5)


async def test_a_turn_is_there_for_those_who_return(lease_clients):
    leases = lease_clients[0]
    while (turn := await leases.take_turn("q", gap=0.1, patience=0.1)).wait is not None:
        """Take them all."""
    await asyncio.sleep(turn.back)

    assert (await leases.take_turn("q", gap=0.1, patience=0.1)).wait is not None


async def test_a_rush_of_turns_is_spread_over_all_clients(lease_clients):
    begun = asyncio.get_running_loop().time()

    async def take(at):
        return (await lease_clients[at % len(lease_clients)].take_turn("q", gap=0.05, patience=60.0)).wait

    waits = await asyncio.gather(*(take(at) for at in range(100)))
    took = asyncio.get_running_loop().time() - begun
    assert 99 * 0.05 - took <= max(waits) <= 99 * 0.05
