"""What providers tell of limits, from their wire to metrics and status."""

import asyncio
import time
from contextlib import asynccontextmanager

import httpx
import msgspec
import pytest

from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

ANSWER = {
    "id": "1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}],
}
TOML = """
[upstreams.local]
kind = "openai_compatible"
base_url = "{url}"
models = ["m"]
accounts = [{{ id = "a", api_key = "k" }}]
"""
SANDBOX = """
[upstreams.box]
kind = "sandbox"
quotas = {{ t2i = 1 }}
image_seconds = 0.0
accounts = [{{ id = "a", token = "t" }}]
"""


@asynccontextmanager
async def provider(status: int, *fields: str):
    """Serve one answer, with these header fields, to whoever asks."""
    body = msgspec.json.encode(ANSWER if status == 200 else {"error": {"message": "slow down"}})

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
        lines = [f"HTTP/1.1 {status} X", "content-type: application/json", f"content-length: {len(body)}"]
        writer.write("\r\n".join([*lines, "connection: close", *fields, "", ""]).encode() + body)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def ask(client: httpx.AsyncClient) -> int:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    return (await client.post("/v1/chat/completions", json=body)).status_code


async def line(client: httpx.AsyncClient, chat_type: str) -> dict:
    status = (await client.get("/api/status")).json()
    return next(one for one in status["accounts"] if one["chat_type"] == chat_type)


async def shown(client: httpx.AsyncClient, name: str) -> dict[str, float]:
    """Return the samples of a metric by their labels."""
    lines = [one for one in (await client.get("/metrics")).text.splitlines() if one.startswith(f"{name}{{")]
    return {one.partition("{")[2].partition("}")[0]: float(one.rpartition(" ")[2]) for one in lines}


@asynccontextmanager
async def asking(tmp_path, toml: str):
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url, timeout=20) as client,
    ):
        yield client


FIELDS = (
    "x-ratelimit-limit-requests: 60",
    "x-ratelimit-remaining-requests: 58",
    "x-ratelimit-reset-requests: 1m30s",
)


async def test_what_every_answer_tells_is_shown(tmp_path) -> None:
    async with provider(200, *FIELDS) as url, asking(tmp_path, TOML.format(url=url)) as client:
        assert await shown(client, "gateway_account_limit") == {}
        assert await ask(client) == 200
        told = await line(client, "t2t")
        assert (told["limit"], told["remaining"]) == (60, 58)
        assert told["reset"] == pytest.approx(time.time() + 90, abs=10)
        labels = 'account="local/a",chat_type="t2t"'
        assert await shown(client, "gateway_account_limit") == {labels: 60}
        assert await shown(client, "gateway_account_remaining") == {labels: 58}
        resets = await shown(client, "gateway_account_reset_timestamp_seconds")
        assert resets == {labels: pytest.approx(told["reset"], abs=1)}
        assert await shown(client, "gateway_account_cooldowns_total") == {}


async def test_a_refusal_counts_as_a_rest_and_tells_its_end(tmp_path) -> None:
    fields = (FIELDS[0], "x-ratelimit-remaining-requests: 0", "x-ratelimit-reset-requests: 1s")
    async with (
        provider(429, *fields, "retry-after: 40") as url,
        asking(tmp_path, TOML.format(url=url)) as client,
    ):
        assert await ask(client) == 429
        told = await line(client, "t2t")
        assert (told["state"], told["remaining"]) == ("cooling", 0)
        assert told["reset"] == pytest.approx(time.time() + 41, abs=10)
        labels = 'account="local/a",chat_type="t2t",reason="burst_limited"'
        assert await shown(client, "gateway_account_cooldowns_total") == {labels: 1}


async def test_what_was_told_is_gone_after_the_reset(tmp_path) -> None:
    fields = (*FIELDS[:2], "x-ratelimit-reset-requests: 400ms")
    async with provider(200, *fields) as url, asking(tmp_path, TOML.format(url=url)) as client:
        assert await ask(client) == 200
        assert (await line(client, "t2t"))["limit"] == 60
        await asyncio.sleep(0.5)
        assert (await line(client, "t2t"))["limit"] is None
        assert await shown(client, "gateway_account_remaining") == {}


async def test_the_hours_of_the_chat_service_are_shown(tmp_path) -> None:
    async with asking(tmp_path, SANDBOX.format()) as client:
        first = await client.post("/v1/images/generations", json={"prompt": "a cat"})
        second = await client.post("/v1/images/generations", json={"prompt": "a cat"})
        assert (first.status_code, second.status_code) == (200, 429)
        told = await line(client, "t2i")
        assert told["reset"] == told["until"] > time.time() + 60
        labels = 'account="box/a",chat_type="t2i"'
        resets = await shown(client, "gateway_account_reset_timestamp_seconds")
        assert resets == {labels: pytest.approx(told["until"], abs=1)}
        cooldowns = await shown(client, "gateway_account_cooldowns_total")
        assert cooldowns == {f'{labels},reason="rate_limited"': 1}
