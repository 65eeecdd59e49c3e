"""What it costs to borrow an account and give it back, without the request around it."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.pool import AccountPool, Wants
from gateway.state.open import open_store
from tests.bench.measure import Sample
from tests.bench.workloads import Workload
from tests.state.valkey_process import ALWAYS, ValkeyProcess

__all__ = ["measure_lending"]

_LOANS = 5_000
_LOANS_OVER_VALKEY = 500
_LIMIT = 4
_WANTS = Wants(chat_type="t2t", tiers=(("lender",),))


def measure_lending(workload: Workload) -> Sample:
    """Borrow and give back, one loan after the other, over each store."""
    return Sample(contestant="gateway", workload=workload.name, seen=asyncio.run(_lend_over_all()))


async def _lend_over_all() -> Mapping[str, float]:
    with TemporaryDirectory() as folder:
        sqlite = f"sqlite:///{folder}/gateway.db"
        return {
            "free_sqlite_us": await _lend(sqlite, None),
            "free_memory_us": await _lend("memory://", None),
            "limited_sqlite_us": await _lend(sqlite, _LIMIT),
            "limited_memory_us": await _lend("memory://", _LIMIT),
            "limited_valkey_trips": await _count_trips(Path(folder)),
        }


async def _lend(url: str, limit: int | None) -> float:
    """Return the microseconds of CPU of a loan; an account with a `limit` counts its loans in the store."""
    async with _pool(url, limit) as pool:
        await _borrow(pool, _LOANS // 10)
        begun = time.process_time()
        await _borrow(pool, _LOANS)
        return (time.process_time() - begun) / _LOANS * 1e6


async def _count_trips(folder: Path) -> float:
    """Return how often the server is asked for a loan; what is given back goes in the background."""
    server = ValkeyProcess(folder / "valkey", **ALWAYS)
    try:
        async with _pool(server.url, _LOANS_OVER_VALKEY) as pool:
            before = _scripts_run(server)
            loans = [await pool.acquire(_WANTS, wait=5) for _ in range(_LOANS_OVER_VALKEY)]
            trips = _scripts_run(server) - before
            for loan in loans:
                loan.settle_cancelled()
        return trips / _LOANS_OVER_VALKEY
    finally:
        server.kill()


@asynccontextmanager
async def _pool(url: str, limit: int | None) -> AsyncIterator[AccountPool]:
    store, leases = await open_store(url)
    account = Account(upstream="lender", id="one", concurrency=limit)
    pool = AccountPool([account], Ledger(store), leases)
    async with pool.running():
        yield pool
    await store.aclose()


async def _borrow(pool: AccountPool, times: int) -> None:
    for _ in range(times):
        (await pool.acquire(_WANTS, wait=5)).settle(None)
        await asyncio.sleep(0)


def _scripts_run(server: ValkeyProcess) -> int:
    found = re.search(rb"cmdstat_evalsha:calls=(\d+)", server.ask("INFO", "commandstats"))
    return int(found[1]) if found else 0
