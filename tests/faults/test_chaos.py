"""Thousands of requests that fail in every way there is, and callers that leave at any time."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from gateway.accounts.records import enable
from gateway_sandbox.faults import OUTCOMES, REPLIES
from gateway_sandbox.wire import _DISTURBERS
from tests.faults.fleet import configure
from tests.faults.opened import Opened, opened
from tests.faults.provider import Provider, provider
from tests.serving import settings_in

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(560),
    # The callers' own library loses a socket when it is stopped while it connects.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

ACCOUNTS = ("a", "b", "c", "d", "e", "f")
LANES = 48
KINDS = (*REPLIES, *_DISTURBERS, *OUTCOMES)
WARM_UP = 0.3
"""The share of requests after which memory is measured first."""
GROWTH_BYTES = 8 * 2**20
"""What memory may grow by in all: what a few thousand calls leave in caches, not the calls."""
TABLES = """
[deadlines]
first_event = 0.5
first_media = 0.8
between_events = 0.5
total = 5.0
queue = 0.5
[tasks]
poll_interval_seconds = 0.2
poll_attempts = 10
max_age_hours = 0.002
"""


async def send(client: httpx.AsyncClient, rng: random.Random) -> str:
    """Send one request and read what comes, or leave; return how it ended."""
    path, body = pick(rng)
    patience = rng.choice((None, None, rng.random() * 0.5))
    try:
        async with asyncio.timeout(patience), client.stream("POST", path, json=body) as answer:
            async for _ in answer.aiter_bytes():
                pass
            return str(answer.status_code)
    except TimeoutError:
        return "left"
    except httpx.HTTPError as error:
        return type(error).__name__


def pick(rng: random.Random) -> tuple[str, dict[str, object]]:
    kind = rng.random()
    if kind < 0.02:
        return "/api/chat", {"message": "a boat", "chatType": "t2v", "waitForCompletion": rng.random() < 0.5}
    if kind < 0.04:
        return "/v1/images/generations", {"prompt": "a cat", "n": rng.choice((1, 2))}
    if kind < 0.3:
        return "/api/chat", {"message": "hello", "stream": rng.random() < 0.5}
    question = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
    return "/v1/chat/completions", {**question, "stream": rng.random() < 0.5}


async def break_things(qwen: Provider, rng: random.Random) -> None:
    """Script faults of every kind, for ever."""
    while True:
        for kind in rng.sample(KINDS, len(KINDS)):
            account = rng.choice(("", f"token-{rng.choice(ACCOUNTS)}"))
            endpoint = rng.choice(("", "completions", "completions"))
            how = {"after": rng.randrange(1500), "seconds": rng.random() * 0.02, "num": rng.choice((1, 4))}
            await qwen.strike(kind, account, times=rng.choice((1, 2)), endpoint=endpoint, **how)
            await asyncio.sleep(0.02)


async def nurse(gateway: Opened) -> None:
    """Bring every account back that is out of use, as an operator with much patience."""
    while True:
        await asyncio.sleep(0.3)
        for account in {status.account for status in gateway.pool.status() if status.state != "ok"}:
            await enable(gateway.store, "qwen", account)


def resident_bytes() -> int:
    fields = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in fields if line.startswith("VmRSS"))


async def calm(gateway: Opened, seconds: float = 15.0) -> None:
    """Wait until nothing is under way."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while gateway.in_flight() or gateway.busy_connections():
        assert clock() < end, (gateway.in_flight(), gateway.busy_connections())
        await asyncio.sleep(0.1)


async def tasks_beyond(before: int, seconds: float = 15.0) -> int:
    """Return how many tasks there are more than `before`; a picture whose client left is still fetched."""
    clock = asyncio.get_running_loop().time
    end = clock() + seconds
    while len(asyncio.all_tasks()) > before and clock() < end:
        await asyncio.sleep(0.1)
    return len(asyncio.all_tasks()) - before


@pytest.mark.parametrize("requests", [500, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_after_chaos_nothing_is_left_behind(tmp_path, capsys, requests):
    rng = random.Random(requests)
    async with provider(tmp_path) as qwen:
        settings = settings_in(tmp_path, configure(qwen.url, ACCOUNTS, tables=TABLES))
        async with opened(settings) as gateway:
            await calm(gateway)
            tasks = len(asyncio.all_tasks())
            ends, grown = await storm(gateway, qwen, rng, requests)
            await qwen.heal()
            await calm(gateway, 30.0)
            left = await tasks_beyond(tasks)
    with capsys.disabled():
        print(f"\n{requests} requests: {dict(ends)}, {grown / 2**20:.1f} MB and {left} tasks left")
    assert left <= 0
    assert grown < GROWTH_BYTES
    assert not set(ends) & {"500"}, "a fault of the provider is never ours"
    assert ends["200"] > requests / 10
    assert ends["left"] > requests / 50


async def storm(
    gateway: Opened, qwen: Provider, rng: random.Random, requests: int
) -> tuple[Counter[str], int]:
    """Send all requests; return how they ended, and by how much memory grew after the warm-up."""
    lanes = asyncio.Semaphore(LANES)
    ends: Counter[str] = Counter()
    beside = [asyncio.create_task(work) for work in (break_things(qwen, rng), nurse(gateway))]
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30, limits=limits) as client:

        async def one() -> None:
            async with lanes:
                ends[await send(client, rng)] += 1

        await asyncio.gather(*(one() for _ in range(int(requests * WARM_UP))))
        before = resident_bytes()
        await asyncio.gather(*(one() for _ in range(requests - int(requests * WARM_UP))))
    for work in beside:
        work.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*beside)
    return ends, resident_bytes() - before
