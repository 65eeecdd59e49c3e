"""An SDK that gives up too early and tries again by itself orders one film all the same."""

import asyncio
import itertools

import httpx
import openai
import pytest

from tests.faults.fleet import Fleet, configure, fleet
from tests.faults.provider import provider
from tests.state.valkey_process import ALWAYS, ValkeyProcess

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:The Sora API")]

SLOW = 3.0
"""Seconds that the provider takes over an order."""


@pytest.fixture
def valkey(tmp_path):
    server = ValkeyProcess(tmp_path / "valkey", **ALWAYS)
    yield server
    server.kill()


class Balancer(httpx.AsyncHTTPTransport):
    """Sends each request to the next gateway."""

    def __init__(self, gateways: Fleet) -> None:
        super().__init__()
        self._urls = itertools.cycle(httpx.URL(gateway.url) for gateway in gateways.gateways)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        request.url = request.url.copy_with(port=next(self._urls).port)
        return await super().handle_async_request(request)


def sdk(gateways: Fleet, **options) -> openai.AsyncOpenAI:
    http = httpx.AsyncClient(transport=Balancer(gateways))
    url = f"{gateways.gateways[0].url}/v1"
    return openai.AsyncOpenAI(base_url=url, api_key="any", http_client=http, **options)


@pytest.mark.parametrize("replicas", [pytest.param(1, marks=pytest.mark.slow), 2])
async def test_retries_of_a_slow_order_join_the_first_try(tmp_path, valkey, replicas):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ["a", "b"], state=valkey.url), replicas) as gateways,
    ):
        await qwen.strike("slow", endpoint="completions", chat_type="t2v", head_seconds=SLOW)
        async with sdk(gateways, timeout=1.0, max_retries=5) as client:
            film = await client.videos.create(prompt="a boat on a lake", model="qwen-max-latest")
        assert len(await qwen.tasks()) == 1
        assert len(await qwen.journal(endpoint="completions", chat_type="t2v")) == 1
        await qwen.heal()
        async with sdk(gateways) as client:
            while film.status in ("queued", "in_progress"):
                await asyncio.sleep(0.2)
                film = await client.videos.retrieve(film.id)
        assert film.status == "completed"


async def test_retries_of_a_slow_picture_join_the_first_try(tmp_path):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ["a", "b"])) as gateways,
        sdk(gateways, timeout=1.0, max_retries=5) as client,
    ):
        await qwen.strike("slow", endpoint="completions", chat_type="t2i", head_seconds=SLOW)
        drawn = await client.images.generate(prompt="a boat on a lake", model="qwen-max-latest")
        assert drawn.data[0].url
        assert len(await qwen.journal(endpoint="completions", chat_type="t2i")) == 1


async def test_two_orders_of_the_same_film_are_two_films(tmp_path):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ["a"])) as gateways,
        sdk(gateways) as client,
    ):
        orders = (client.videos.create(prompt="a boat", model="qwen-max-latest") for _ in range(2))
        films = await asyncio.gather(*orders)
        assert len({film.id for film in films}) == len(await qwen.tasks()) == 2
