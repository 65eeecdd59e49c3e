"""Every store there is, real and empty."""

import pytest

from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
async def clients(request, tmp_path):
    """Return clients of one store: several where it can be shared, one where it cannot."""
    store = await SqliteStore.open(*[str(tmp_path / "state.db")] * (request.param == "sqlite"))
    yield [store]
    await store.aclose()


@pytest.fixture
def store(clients):
    return clients[0]


@pytest.fixture(params=["memory"])
async def lease_clients():
    """Return clients of one lease store."""
    return [MemoryLeases()]
