"""A clock that tests move, a real store, and ledgers and pools over them."""

import time
from collections.abc import AsyncIterator, Callable

import pytest

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.pool import AccountPool
from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore


class Clock:
    """Unix seconds that stand still until a test moves them."""

    def __init__(self) -> None:
        self.now = float(int(time.time()))

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store() -> AsyncIterator[SqliteStore]:
    store = await SqliteStore.open()
    yield store
    await store.aclose()


@pytest.fixture
def leases() -> MemoryLeases:
    return MemoryLeases()


@pytest.fixture
def ledger(store: SqliteStore, clock: Clock) -> Ledger:
    return Ledger(store, clock=clock, chance=lambda: 0.0)


@pytest.fixture
def make_pool(ledger: Ledger, leases: MemoryLeases) -> Callable[..., AccountPool]:
    def make(*accounts: Account) -> AccountPool:
        return AccountPool(accounts, ledger, leases)

    return make
