"""Every store there is, real and empty."""

import pytest

from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.state.valkey import ValkeyLeases, ValkeyServer, ValkeyStore
from tests.state.valkey_process import ALWAYS, ValkeyProcess


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory):
    """Return a server that keeps durable writes."""
    process = ValkeyProcess(tmp_path_factory.mktemp("valkey"), **ALWAYS)
    yield process
    process.kill()


@pytest.fixture
def valkey(valkey_process):
    """Return that server, empty."""
    valkey_process.ask("FLUSHALL")
    return valkey_process


@pytest.fixture(params=["memory", "sqlite", "valkey"])
async def clients(request, tmp_path):
    """Return clients of one empty store: three where it can be shared, one where it cannot."""
    if request.param == "valkey":
        url = request.getfixturevalue("valkey").url
        stores = [ValkeyStore(ValkeyServer(url)) for _ in range(3)]
    else:
        stores = [await SqliteStore.open(*[str(tmp_path / "state.db")] * (request.param == "sqlite"))]
    yield stores
    for store in stores:
        await store.aclose()


@pytest.fixture
def store(clients):
    """Return the first client."""
    return clients[0]


@pytest.fixture(params=["memory", "valkey"])
async def lease_clients(request):
    """Return clients of one empty lease store."""
    if request.param == "memory":
        yield [MemoryLeases()]
        return
    servers = [ValkeyServer(request.getfixturevalue("valkey").url) for _ in range(3)]
    yield [ValkeyLeases(server) for server in servers]
    for server in servers:
        await server.aclose()
