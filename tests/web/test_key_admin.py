"""Operators' routes for keys, on a real gateway."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from tests.process import FAST_SANDBOX, running
from tests.serving import Served, serving_gateway, settings_in

pytestmark = pytest.mark.anyio

KEYS = """
[[auth.keys]]
name = "boss"
key = "sk-boss"
admin = true

[[auth.keys]]
name = "alice"
key = "sk-alice"
rpm = 60
"""
ALICE, BOSS = ({"authorization": f"Bearer sk-{name}"} for name in ("alice", "boss"))


async def test_an_operator_takes_a_key_back_and_gives_it_back(tmp_path) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, KEYS)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):

        async def status() -> int:
            return (await client.get("/v1/models", headers=ALICE)).status_code

        async def ask(act: str, name: str = "alice") -> httpx.Response:
            return await client.post(f"/api/admin/keys/{act}", json={"name": name}, headers=BOSS)

        assert await status() == 200
        assert (await ask("revoke")).json() == {"name": "alice"}
        assert await status() == 401
        listed = (await client.get("/api/admin/keys", headers=BOSS)).json()
        assert [(row["key"]["name"], row["key"]["rpm"], row["revoked"]) for row in listed] == [
            ("boss", None, False),
            ("alice", 60, True),
        ]
        assert (await ask("restore")).status_code == 200
        assert await status() == 200
        assert (await ask("revoke", "nobody")).status_code == 404


@pytest.mark.parametrize(("headers", "status"), [(ALICE, 403), ({}, 401)])
async def test_nobody_else_may(tmp_path, headers: dict[str, str], status: int) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, KEYS)) as served,
        httpx.AsyncClient(base_url=served.url, headers=headers) as client,
    ):
        assert (await client.get("/api/admin/keys")).status_code == status
        for act in ("revoke", "restore"):
            refused = await client.post(f"/api/admin/keys/{act}", json={"name": "boss"})
            assert refused.status_code == status
        assert (await client.get("/v1/models", headers=BOSS)).status_code == 200


# ------------------------------------------------------------------ what is under way with a revoked key

SLOW = """
[upstreams.box]
kind = "sandbox"
first_token_seconds = {silence}
tokens_per_second = 5.0
accounts = [{{ id = "one", token = "token-one" }}]
"""
CHAT = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "tell me much"}]}
NATIVE = {"chatType": "t2t", "message": "tell me much", "stream": True}


@asynccontextmanager
async def slow_gateway(tmp_path, silence: float = 0.0) -> AsyncIterator[tuple[Served, httpx.AsyncClient]]:
    settings = settings_in(tmp_path, KEYS + SLOW.format(silence=silence))
    async with (
        serving_gateway(settings) as served,
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        yield served, client


async def revoke(client: httpx.AsyncClient, name: str = "alice") -> None:
    answer = await client.post("/api/admin/keys/revoke", json={"name": name}, headers=BOSS)
    answer.raise_for_status()


async def in_flight(client: httpx.AsyncClient) -> int:
    status = (await client.get("/api/status", headers=BOSS)).json()
    return sum(line["in_flight"] for line in status["accounts"] if not line["chat_type"])


@pytest.mark.parametrize(("path", "body"), [("/v1/chat/completions", CHAT), ("/api/chat", NATIVE)])
async def test_a_running_stream_of_a_revoked_key_ends_with_a_frame_that_says_so(tmp_path, path, body) -> None:
    async with slow_gateway(tmp_path) as (_, client):
        async with client.stream("POST", path, json=body | {"stream": True}, headers=ALICE) as answer:
            pieces = answer.aiter_text()
            text = await anext(pieces)
            began = time.monotonic()
            await revoke(client)
            async for piece in pieces:
                text += piece
        assert time.monotonic() - began < 1.0
        assert "key_revoked" in text
        assert "[DONE]" not in text
        assert await in_flight(client) == 0


async def test_streams_of_other_keys_go_on(tmp_path) -> None:
    async with slow_gateway(tmp_path) as (_, client):
        body = CHAT | {"stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=BOSS) as answer:
            pieces = answer.aiter_text()
            await anext(pieces)
            await revoke(client)
            assert "key_revoked" not in await anext(pieces) + await anext(pieces)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_waiting_call_of_a_revoked_key_is_answered_401(tmp_path, stream: bool) -> None:
    async with slow_gateway(tmp_path, silence=15.0) as (_, client):
        body = CHAT | {"stream": stream}
        waiting = asyncio.create_task(client.post("/v1/chat/completions", json=body, headers=ALICE))
        async with asyncio.timeout(5):
            while not await in_flight(client):
                await asyncio.sleep(0.02)
        began = time.monotonic()
        await revoke(client)
        answer = await waiting
        assert time.monotonic() - began < 1.0
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "key_revoked")
        assert await in_flight(client) == 0


@asynccontextmanager
async def half_a_call(served: Served, body: bytes, length: int):
    """Send a chat's head and the beginning of its body by hand; yields what reads the answer."""
    host, port = served.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer sk-alice\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % length + body
    )
    yield reader
    writer.close()


async def test_a_body_that_still_arrives_is_not_waited_for(tmp_path) -> None:
    async with slow_gateway(tmp_path) as (served, client), half_a_call(served, b"{", 2000) as reader:
        await asyncio.sleep(0.3)
        await revoke(client)
        async with asyncio.timeout(2):
            assert (await reader.readline()).startswith(b"HTTP/1.1 401")
            assert b"key_revoked" in await reader.readuntil(b"key_revoked")


async def test_a_client_that_does_not_read_frees_its_providers_call(tmp_path) -> None:
    body = msgspec.json.encode(CHAT | {"stream": True})
    async with slow_gateway(tmp_path) as (served, client), half_a_call(served, body, len(body)) as reader:
        await reader.readline()
        reader._transport.pause_reading()
        await revoke(client)
        async with asyncio.timeout(2):
            while await in_flight(client):
                await asyncio.sleep(0.02)


def test_a_revocation_is_on_disk_when_it_is_answered(tmp_path) -> None:
    toml = FAST_SANDBOX + KEYS
    with running(tmp_path, toml) as gateway:
        answer = httpx.post(f"{gateway.url}/api/admin/keys/revoke", json={"name": "alice"}, headers=BOSS)
        gateway.kill()
        assert answer.status_code == 200
    with running(tmp_path, toml) as gateway:
        assert httpx.get(f"{gateway.url}/v1/models", headers=ALICE).status_code == 401
        assert httpx.get(f"{gateway.url}/v1/models", headers=BOSS).status_code == 200
