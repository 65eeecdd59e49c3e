"""`kill -9` at random times and at every step: nothing lost, nothing doubled."""

import asyncio
import os
import random

import pytest

from gateway.tasks.failpoints import FAILPOINTS
from tests.crash.world import World
from tests.process import providing

pytestmark = pytest.mark.anyio

SEED = int(os.environ.get("CRASH_SEED", random.SystemRandom().randrange(10**6)))
KILLS = int(os.environ.get("CRASH_KILLS", "500"))
UNSENT = "intent_stored"
"""A death here leaves a task that no provider has; nobody may say that it was made, or make it again."""
STEPS_OF_A_VIDEO = [name for name in FAILPOINTS if not name.startswith("drive")]
STEPS_OF_A_DRIVE = [name for name in FAILPOINTS if name.startswith("drive")]


@pytest.fixture
def provider(tmp_path):
    with providing(tmp_path, video_seconds=0.3) as provider:
        yield provider


def sqlite_in(folder):
    return f"sqlite:///{folder}/gateway.db"


async def survive(world, kills):
    print(f"seed {SEED}, {len(world.replicas)} replicas", end=": ", flush=True)
    async with world:
        await world.run(kills, most_seconds=900)
        await world.compare()
        print(f"{world.kills} kills, {len(world.answers)} answers, {world.made().total()} videos, none lost")
        assert world.answers


async def test_sqlite_survives_kills(tmp_path, provider):
    state = sqlite_in(tmp_path)
    await survive(World(tmp_path / "w", provider, state, rng=random.Random(SEED)), 5)


async def test_three_replicas_over_valkey_survive_kills(tmp_path, provider, valkey_url):
    await survive(World(tmp_path / "w", provider, valkey_url, replicas=3, rng=random.Random(SEED)), 6)


async def test_a_death_at_any_step_loses_and_doubles_nothing(tmp_path, provider):
    """Every step in a gateway of its own, all at once: each waits for time to pass, mostly."""

    async def die_at(step):
        folder = tmp_path / step
        async with World(folder, provider, sqlite_in(folder), rng=random.Random(SEED)) as world:
            (gateway,) = world.replicas
            await gateway.start(GATEWAY_FAILPOINT=step)
            asking = asyncio.ensure_future(world.ask(f"{step} film"))
            await gateway.died()
            await gateway.start()
            if step == UNSENT:
                asking.cancel()
            else:
                await asking
            await world.compare()
            return step, world.made().total()

    made = await asyncio.gather(*map(die_at, STEPS_OF_A_VIDEO))
    assert dict(made) == {step: int(step != UNSENT) for step in STEPS_OF_A_VIDEO}


async def test_a_death_while_driving_is_told_and_never_repeated(tmp_path, provider):
    """Pictures have no provider's task to find again: nobody may say that they were made, or make them."""

    async def die_at(step):
        folder = tmp_path / step
        async with World(folder, provider, sqlite_in(folder), rng=random.Random(SEED)) as world:
            (gateway,) = world.replicas
            await gateway.start(GATEWAY_FAILPOINT=step)
            drawing = asyncio.ensure_future(world.draw(f"{step} picture"))
            await gateway.died()
            await gateway.start()
            return await drawing

    views = await asyncio.gather(*map(die_at, STEPS_OF_A_DRIVE))
    assert [(view["status"], view["code"]) for view in views] == [("failed", "create_ambiguous")] * 3
    assert len(provider.calls("completions", "t2i")) == 2, "the first died before it had sent anything"


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_sqlite_survives_many_kills(tmp_path, provider):
    state = sqlite_in(tmp_path)
    await survive(World(tmp_path / "w", provider, state, rng=random.Random(SEED)), KILLS)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("replicas", [1, 3])
async def test_valkey_survives_many_kills(tmp_path, provider, valkey_url, replicas):
    world = World(tmp_path / "w", provider, valkey_url, replicas=replicas, rng=random.Random(SEED))
    await survive(world, KILLS // 2)
