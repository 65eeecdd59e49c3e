"""What the shared limits cost: round trips to the store, memory of those who wait."""

import asyncio
import re
import time
from pathlib import Path

import httpx
import pytest

from tests.faults.fleet import Fleet, configure, fleet
from tests.faults.provider import provider
from tests.state.valkey_process import ALWAYS, ValkeyProcess

pytestmark = pytest.mark.anyio

QUESTION = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
REQUESTS = 50
WAITERS = 1000
BYTES_PER_WAITER = 60_000


@pytest.fixture
def valkey(tmp_path):
    server = ValkeyProcess(tmp_path / "valkey", **ALWAYS)
    yield server
    server.kill()


def scripts_run(valkey: ValkeyProcess) -> int:
    """Count the scripts that were asked for: every record and every lease is one."""
    found = re.search(rb"cmdstat_evalsha:calls=(\d+)", valkey.ask("INFO", "commandstats"))
    return int(found[1]) if found else 0


async def ask(gateways: Fleet) -> httpx.Response:
    return await gateways.client(0).post("/v1/chat/completions", json=QUESTION)


@pytest.mark.parametrize(("account", "most"), [("", 0.2), ("concurrency = 4", 2.2)])
async def test_a_text_costs_no_round_trip_and_a_limit_two(tmp_path, valkey, capsys, account, most):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ["a", "b"], state=valkey.url, account=account)) as gateways,
    ):
        assert (await ask(gateways)).status_code == 200
        await asyncio.sleep(1)
        idle = scripts_run(valkey)
        await asyncio.sleep(1)
        idle = scripts_run(valkey) - idle
        before, begun = scripts_run(valkey), asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(ask(gateways) for _ in range(REQUESTS)))
        took = asyncio.get_running_loop().time() - begun
        trips = (scripts_run(valkey) - before - idle * took) / REQUESTS
    assert {answer.status_code for answer in answers} == {200}
    with capsys.disabled():
        print(f"\n{account or 'no limit'}: {trips:.2f} round trips a request, {idle} a second when idle")
    assert trips <= most


async def test_those_who_wait_for_an_account_cost_little(tmp_path, capsys):
    patient = "[deadlines]\nqueue = 60.0"
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ["a"], account="concurrency = 1", tables=patient)) as gateways,
    ):
        await asyncio.gather(*(ask(gateways) for _ in range(10)))
        await qwen.strike("slow", endpoint="completions", head_seconds=20.0)
        pid = gateways.gateways[0].process.pid
        before = resident_bytes(pid)
        waiting = [asyncio.create_task(ask(gateways)) for _ in range(WAITERS)]
        end = time.monotonic() + 30
        while await in_progress(gateways) < WAITERS:
            assert time.monotonic() < end
            await asyncio.sleep(0.1)
        each = (resident_bytes(pid) - before) / WAITERS
        for waiter in waiting:
            waiter.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    with capsys.disabled():
        print(f"\n{WAITERS} callers wait: {each / 1000:.1f} kB each, connection and request included")
    assert each < BYTES_PER_WAITER


async def in_progress(gateways: Fleet) -> int:
    metrics = (await gateways.client(0).get("/metrics")).text
    found = re.search(r"^gateway_http_requests_in_progress (\d+)", metrics, re.MULTILINE)
    return int(found[1]) if found else 0


def resident_bytes(pid: int) -> int:
    fields = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in fields if line.startswith("VmRSS"))
