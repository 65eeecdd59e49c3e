"""The same gateway over either HTTP client: whole answers, streams, cuts, and callers that leave."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest

from tests.faults.fleet import configure
from tests.faults.opened import Opened, opened
from tests.faults.provider import Provider, provider
from tests.serving import settings_in

pytestmark = pytest.mark.anyio

QUESTION = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
STREAMED = {**QUESTION, "stream": True}
PATIENCE = """
[deadlines]
first_event = 2.0
between_events = 1.0
"""


@pytest.fixture
async def qwen(tmp_path) -> AsyncIterator[Provider]:
    async with provider(tmp_path) as sandbox:
        yield sandbox


@pytest.fixture(params=["own", "httpx-aiohttp"])
async def gateway(request, tmp_path, qwen) -> AsyncIterator[Opened]:
    options = f'http_client = "{request.param}"'
    settings = settings_in(tmp_path, configure(qwen.url, ["a", "b"], options=options, tables=PATIENCE))
    async with opened(settings) as served:
        yield served
        await calm(served)


@pytest.fixture
async def client(gateway) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=20) as caller:
        yield caller


async def calm(gateway: Opened) -> None:
    async with asyncio.timeout(5):
        while gateway.in_flight() or gateway.busy_connections():
            await asyncio.sleep(0.01)


def frames(stream: str) -> list[dict[str, Any]]:
    lines = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: {")]
    return [msgspec.json.decode(line) for line in lines]


async def test_whole_answers_streams_and_pictures_are_served(client: httpx.AsyncClient) -> None:
    whole, streamed, drawn = await asyncio.gather(
        client.post("/v1/chat/completions", json=QUESTION),
        client.post("/v1/chat/completions", json=STREAMED),
        client.post("/v1/images/generations", json={"prompt": "a cat"}),
    )
    assert whole.json()["choices"][0]["message"]["content"]
    assert streamed.text.endswith("data: [DONE]\n\n")
    deltas = [choice["delta"] for frame in frames(streamed.text) for choice in frame["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas)
    assert drawn.json()["data"][0]["url"]


async def test_a_stream_comes_as_it_is_made(client: httpx.AsyncClient, qwen: Provider) -> None:
    await qwen.strike("slow", times=1, endpoint="completions", seconds=0.05)
    clock = asyncio.get_running_loop().time
    async with client.stream("POST", "/v1/chat/completions", json=STREAMED) as answer:
        times = [clock() async for _ in answer.aiter_bytes()]
    assert times[-1] - times[0] > 0.2


@pytest.mark.parametrize(("fault", "after"), [("cut", 600), ("stall", 4)])
async def test_a_stream_that_breaks_off_ends_in_an_error(
    client: httpx.AsyncClient, qwen: Provider, fault: str, after: int
) -> None:
    await qwen.strike(fault, times=0, endpoint="completions", after=after)
    answer = await client.post("/v1/chat/completions", json=STREAMED)
    assert answer.status_code == 200
    assert "error" in frames(answer.text)[-1]
    assert "[DONE]" not in answer.text


async def test_a_caller_who_leaves_frees_the_connection(
    client: httpx.AsyncClient, gateway: Opened, qwen: Provider
) -> None:
    await qwen.strike("slow", times=0, endpoint="completions", seconds=0.2)
    async with client.stream("POST", "/v1/chat/completions", json=STREAMED) as answer:
        await anext(answer.aiter_bytes())
        assert gateway.busy_connections() == 1
    await calm(gateway)
    for patience in (0.01, 0.05, 0.1, 0.3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(patience):
                await client.post("/v1/chat/completions", json=QUESTION)
        await calm(gateway)
    await qwen.heal()
    assert (await client.post("/v1/chat/completions", json=QUESTION)).status_code == 200


async def test_a_provider_that_is_gone_is_told(client: httpx.AsyncClient, qwen: Provider) -> None:
    await qwen.strike("lost_answer", times=0, endpoint="completions")
    answer = await client.post("/v1/chat/completions", json=QUESTION)
    assert answer.status_code in (502, 503)
    assert answer.json()["error"]["code"]
