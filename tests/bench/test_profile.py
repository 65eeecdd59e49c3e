"""Samples are charged to the code that used the time, and grouped by the folder it stands in."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Callable

import pytest
import uvloop

from tests.bench.machine import ROOT
from tests.bench.profile import by_layer, layer_of
from tests.bench.sampler import LOOP, Place, sampling

CPU_SECONDS = 0.3


@pytest.mark.parametrize(
    ("file", "layer"),
    [
        (f"{ROOT}/gateway/dispatch/dispatcher.py", "dispatch"),
        (f"{ROOT}/gateway/app.py", "app"),
        (f"{ROOT}/plugins/gateway_t2t/generator.py", "plugins"),
        (f"{ROOT}/tests/bench/sampler.py", "tests"),
        (f"{ROOT}/.venv/lib/python3.11/site-packages/litestar/routes.py", "litestar"),
        (f"{ROOT}/.venv/lib/python3.11/site-packages/six.py", "six"),
        ("/usr/lib/python3.11/asyncio/events.py", "stdlib"),
        ("<frozen importlib._bootstrap>", "stdlib"),
    ],
)
def test_layer(file: str, layer: str) -> None:
    assert layer_of((file, "f")) == layer


def test_layers_add_up_their_functions() -> None:
    web, more_web = (f"{ROOT}/gateway/web/a.py", "f"), (f"{ROOT}/gateway/web/b.py", "g")
    state = (f"{ROOT}/gateway/state/b.py", "g")
    assert by_layer(Counter({web: 2, more_web: 1, state: 3, LOOP: 4})) == {
        "web": 3,
        "state": 3,
        "event loop": 4,
    }


def spin(_: int) -> None:
    sum(range(200))


def hash_much(_: int) -> None:
    hashlib.sha256(bytes(200_000))


@pytest.mark.parametrize("work", [spin, hash_much])
def test_the_busy_function_has_the_samples(work: Callable[[int], None]) -> None:
    places: Counter[Place] = Counter()
    until = time.process_time() + CPU_SECONDS
    with sampling(places):
        while time.process_time() < until:
            for turn in range(20):
                work(turn)
    assert places.total() > 20
    assert places[__file__, work.__qualname__] > 0.7 * places.total()


def test_the_loop_is_charged_for_waking_a_task() -> None:
    """A task that only waits leaves its time to the loop, not to the place where it wakes up."""
    places: Counter[Place] = Counter()

    async def wait_often() -> None:
        loop = asyncio.get_running_loop()
        until = time.process_time() + CPU_SECONDS
        while time.process_time() < until:
            future = loop.create_future()
            loop.call_later(0, future.set_result, None)
            await future

    with sampling(places):
        uvloop.run(wait_often())
    assert places[LOOP] > 0.2 * places.total()
