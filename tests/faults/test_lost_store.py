"""The shared store freezes, is emptied or moves: text goes on, nothing is ordered that could be lost."""

import asyncio
import time

import httpx
import pytest

from tests.faults.fleet import Fleet, configure, fleet
from tests.faults.provider import Provider, provider
from tests.state.valkey_process import ALWAYS, Gate, ValkeyProcess, wait_for

pytestmark = pytest.mark.anyio

ACCOUNTS = ("a", "b")
QUESTION = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
FILM = {"message": "a boat", "chatType": "t2v", "waitForCompletion": False}


@pytest.fixture
def valkey(tmp_path):
    server = ValkeyProcess(tmp_path / "valkey", **ALWAYS)
    yield server
    server.thaw()
    server.kill()


async def ask(client: httpx.AsyncClient) -> int:
    return (await client.post("/v1/chat/completions", json=QUESTION)).status_code


async def order(client: httpx.AsyncClient) -> httpx.Response:
    return await client.post("/api/chat", json=FILM)


async def expect_text_only(gateways: Fleet, qwen: Provider) -> float:
    """See text answered and films refused before anything is sent; return the slowest answer's seconds."""
    before = await qwen.last()
    slowest = 0.0
    for client in gateways.clients * 4:
        begun = time.perf_counter()
        assert await ask(client) == 200
        slowest = max(slowest, time.perf_counter() - begun)
        refused = await order(client)
        assert (refused.status_code, refused.json()["code"]) == (503, "storage_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
    assert not [entry for entry in await qwen.journal(before) if entry.chat_type == "t2v"]
    return slowest


async def expect_recovery(gateways: Fleet, seconds: float = 10.0) -> float:
    """See every gateway order films again, without a restart; return how long that took."""
    begun = time.perf_counter()
    for client in gateways.clients:
        while (await order(client)).status_code != 200:
            assert time.perf_counter() - begun < seconds, "it does not recover"
            await asyncio.sleep(0.1)
    assert [await ask(client) for client in gateways.clients] == [200] * len(gateways.clients)
    return time.perf_counter() - begun


async def test_a_frozen_store_stops_orders_and_nothing_else(tmp_path, valkey, capsys):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ACCOUNTS, state=valkey.url), 2) as gateways,
    ):
        film = (await order(gateways.client(0))).json()["task_id"]
        valkey.freeze()
        slowest = await expect_text_only(gateways, qwen)
        valkey.thaw()
        recovered = await expect_recovery(gateways)
        await expect_finished(gateways.client(1), film)
    with capsys.disabled():
        print(f"\nfrozen store: text in {slowest:.2f} s at worst, orders {recovered:.2f} s after the thaw")


async def expect_finished(client: httpx.AsyncClient, film: str, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while True:
        answer = await client.get(f"/api/tasks/status/{film}")
        if answer.status_code == 200 and answer.json()["status"] == "completed":
            return
        assert time.monotonic() < end, answer.text
        await asyncio.sleep(0.2)


async def test_a_store_that_comes_back_empty_is_used_at_once(tmp_path, valkey, capsys):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ACCOUNTS, state=valkey.url), 2) as gateways,
    ):
        await qwen.strike("daily_limit", "token-a", endpoint="completions")
        assert [await ask(client) for client in gateways.clients * 2] == [200] * 4
        valkey.kill()
        await expect_text_only(gateways, qwen)
        for file in (tmp_path / "valkey").rglob("*.*"):
            file.unlink()
        valkey.start()
        recovered = await expect_recovery(gateways)
        before = await qwen.last()
        assert [await ask(client) for client in gateways.clients * 4] == [200] * 8
        struck = [entry for entry in await qwen.journal(before) if entry.fault]
        assert not struck, "what was learned outlives the store"
    with capsys.disabled():
        print(f"\nstore emptied: orders {recovered:.2f} s after its start")


async def test_orders_are_safe_through_a_failover(tmp_path, valkey, capsys):
    replica = ValkeyProcess(tmp_path / "replica", **ALWAYS, replicaof=f"127.0.0.1 {valkey.port}")
    try:
        wait_for(valkey.is_copied)
        async with provider(tmp_path) as qwen, Gate(valkey.port) as gate:
            config = configure(qwen.url, ACCOUNTS, state=f"valkey://127.0.0.1:{gate.port}/0")
            async with fleet(tmp_path, config, 2) as gateways:
                film = (await order(gateways.client(0))).json()["task_id"]
                valkey.kill()
                gate.cut()
                await expect_text_only(gateways, qwen)
                gate.target = replica.port
                replica.ask("REPLICAOF", "NO", "ONE")
                gate.cut()
                await expect_finished(gateways.client(1), film)
                assert [await ask(client) for client in gateways.clients] == [200] * 2
    finally:
        replica.kill()
