"""What the web rooms' tests share: a whole gateway, a real Valkey."""

import httpx
import pytest

from tests.serving import serving_gateway, settings_in
from tests.state.valkey_process import ALWAYS, ValkeyProcess


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory):
    """Return a server that runs for the whole session."""
    process = ValkeyProcess(tmp_path_factory.mktemp("valkey"), **ALWAYS)
    yield process
    process.kill()


@pytest.fixture
def valkey(valkey_process):
    """Return that server, empty."""
    valkey_process.ask("FLUSHALL")
    return valkey_process


@pytest.fixture(scope="module")
def anyio_backend():
    """Let a module's tests share one event loop, and with it one gateway."""
    return "asyncio"


@pytest.fixture(scope="module")
async def client(tmp_path_factory, anyio_backend):
    """Return a client of a whole gateway over the sandbox, one for each module."""
    settings = settings_in(tmp_path_factory.mktemp("gateway"))
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        yield client
