"""`kill -9` at random times and at every step: nothing lost, nothing doubled."""

import asyncio
import os
import random
import time
from itertools import count, product, starmap

import pytest

from gateway.tasks.failpoints import FAILPOINTS
from tests.crash.world import open_world

pytestmark = pytest.mark.anyio

SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(10**6)))
KILLS = int(os.environ.get("CRASH_KILLS", "500"))
UNSENT = "intent_stored"
"""A death here leaves a task that no provider has; nobody may say that it was made, or make it again."""
STEPS_OF_A_VIDEO = [name for name in FAILPOINTS if not name.startswith("drive")]
STEPS_OF_A_DRIVE = [name for name in FAILPOINTS if name.startswith("drive")]
ONE_GATEWAY = [("sqlite", 1), ("valkey", 1)]
THREE_GATEWAYS = pytest.param([("valkey", 3)], marks=pytest.mark.slow)
HOUSES = pytest.mark.parametrize("houses", [ONE_GATEWAY, THREE_GATEWAYS], ids=["one", "three"])
"""Stores and the number of gateways over them."""


@pytest.fixture
def house(tmp_path, provider, valkey_url):
    """Return a function that opens a world over a new and empty store."""
    numbers = count(1)

    def open_one(name, store, gateways, **how):
        number = next(numbers)
        urls = {
            "sqlite": f"sqlite:///{tmp_path}/{number}.db",
            "valkey": f"{valkey_url.rpartition('/')[0]}/{number}",
        }
        folder = tmp_path / f"{name} {store} {gateways}"
        return open_world(folder, provider, urls[store], replicas=gateways, seed=SEED, **how)

    return open_one


@pytest.fixture
def survive(house, capfd):
    """Return a function that kills at random times, compares the three lists, and prints the figures."""

    async def survive(store, kills, *, gateways=1, **how):
        began = time.monotonic()
        async with house("random", store, gateways) as world:
            await world.run(kills, **how)
            lists = await world.compare()
        minutes = (time.monotonic() - began) / 60
        with capfd.disabled():
            print(
                f"\n{store}, {gateways} gateways, seed {SEED}, {minutes:.1f} min: {world.replicas.deaths}; "
                f"{len(lists.answers)} answers, {lists.made.total()} films, {len(lists.tasks)} tasks; "
                "0 lost, 0 doubled"
            )

    return survive


async def test_some_random_kills(survive):
    await asyncio.gather(survive("sqlite", 8, rest=5.0), survive("valkey", 12, gateways=3, rest=5.0))


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_many_random_kills_over_sqlite(survive):
    await survive("sqlite", KILLS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("gateways", [1, 3])
async def test_many_random_kills_over_valkey(survive, gateways):
    await survive("valkey", KILLS // 2, gateways=gateways)


@HOUSES
async def test_a_death_at_any_step_loses_and_doubles_nothing(house, houses):
    """Every step in a world of its own, all at once: each waits for time to pass, mostly."""

    async def die_at(step, place):
        async with house(step, *place, failpoint=step) as world:
            asking = asyncio.ensure_future(world.clients.ask(f"{world.name} film"))
            await world.replicas.died()
            if step == UNSENT:
                asking.cancel()
            else:
                await asking
            await world.compare()
            return world.made().total()

    cases = list(product(STEPS_OF_A_VIDEO, houses))
    made = await asyncio.gather(*starmap(die_at, cases))
    assert made == [int(step != UNSENT) for step, _ in cases]


@HOUSES
async def test_a_death_while_driving_is_told_and_never_repeated(house, houses, provider):
    """Pictures have no provider's task to find again: nobody may say that they were made, or make them."""

    async def die_at(step, place):
        async with house(step, *place, failpoint=step) as world:
            drawing = asyncio.ensure_future(world.clients.draw(f"{world.name} picture"))
            await world.replicas.died()
            view = await drawing
            return view["status"], view["code"]

    views = await asyncio.gather(*starmap(die_at, product(STEPS_OF_A_DRIVE, houses)))
    assert set(views) == {("failed", "create_ambiguous")}
    drawn = len(provider.calls("completions", "t2i"))
    assert drawn == 2 * len(houses), "who dies at the first step has not sent anything"
