"""The provider that outlives all gateways, and the stores that they are killed over."""

import asyncio

import pytest

from tests.crash.life import Life, run_provider
from tests.process import Provider
from tests.state.valkey_process import ALWAYS, ValkeyProcess

_PACE = ("--image-seconds=0", "--video-seconds=0.3", "--tokens-per-second=0")


@pytest.fixture
async def provider(tmp_path):
    life = Life(["sandbox", *_PACE], tmp_path / "provider.log", become=run_provider)
    yield Provider(await asyncio.wait_for(life.answers(), 30))
    life.kill()


@pytest.fixture
def valkey_url(tmp_path):
    """Return the URL of an empty server that keeps durable writes, with many databases."""
    process = ValkeyProcess(tmp_path / "valkey", databases="64", **ALWAYS)
    yield process.url
    process.kill()
