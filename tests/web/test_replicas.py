"""Whole gateways that share one Valkey: a key's limits and its end are the same in all of them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

KEYS = """
[[auth.keys]]
name = "boss"
key = "sk-boss"
admin = true

[[auth.keys]]
name = "alice"
key = "sk-alice"
rpm = 3
"""
CHAT = {"message": "Hi"}


@asynccontextmanager
async def replicas(folder, url: str) -> AsyncGenerator[list[httpx.AsyncClient], None]:
    """Serve three gateways; each client talks to one of them with alice's key."""
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(3):
            place = folder / str(number)
            place.mkdir()
            served = await stack.enter_async_context(
                serving_gateway(settings_in(place, KEYS, GATEWAY_STATE__URL=url))
            )
            client = httpx.AsyncClient(base_url=served.url, headers={"authorization": "Bearer sk-alice"})
            clients.append(await stack.enter_async_context(client))
        yield clients


async def test_a_minute_is_one_minute_in_all_replicas(tmp_path, valkey) -> None:
    async with replicas(tmp_path, valkey.url) as clients:
        answers = [await clients[n % 3].post("/api/chat", json=CHAT) for n in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        left = [answer.headers["x-ratelimit-remaining-requests"] for answer in answers]
        assert left == ["2", "1", "0", "0", "0"]
        assert [(await client.get("/v1/models")).status_code for client in clients] == [200] * 3


async def test_a_key_taken_back_at_one_replica_ends_at_all(tmp_path, valkey) -> None:
    async with replicas(tmp_path, valkey.url) as clients:
        boss = {"authorization": "Bearer sk-boss"}
        revoked = await clients[0].post("/api/admin/keys/revoke", json={"name": "alice"}, headers=boss)
        assert revoked.status_code == 200
        assert (await clients[0].get("/v1/models")).status_code == 401
        for client in clients[1:]:
            async with asyncio.timeout(1):
                while (await client.get("/v1/models")).status_code != 401:
                    pass
