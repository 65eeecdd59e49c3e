"""Stores that can be made to fail."""

import pytest

from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.state.store import StoreUnavailable


class FaultyStore:
    """A store that may be away: `fail(method)` says whether this call fails, before or after it acts."""

    def __init__(self, store):
        self._store = store
        self.fail = lambda method: None

    def __getattr__(self, name):
        act = getattr(self._store, name)
        if name in ("watch", "aclose"):
            return act

        async def call(*args, **kwargs):
            when = self.fail(name)
            if when == "before":
                raise StoreUnavailable("the test took the store away")
            answer = await act(*args, **kwargs)
            if when == "after":
                raise StoreUnavailable("the test took the answer away")
            return answer

        return call


@pytest.fixture
async def store():
    made = await SqliteStore.open()
    yield FaultyStore(made)
    await made.aclose()


@pytest.fixture
def leases():
    return MemoryLeases()
