"""What the poller's claim costs beside a long history: CPU of the store, its server and its client."""

import asyncio
import time
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from gateway.state.open import open_store
from gateway.state.store import Record, StateStore
from gateway.tasks.records import TABLE
from tests.bench.history import record_tasks
from tests.bench.machine import cpu_seconds
from tests.state.valkey_process import ValkeyProcess

__all__ = ["cost_on_sqlite", "cost_on_valkey"]

_DUE = 100
_ROUNDS = 50


def cost_on_sqlite(size: int) -> float:
    """Return the microseconds of CPU of a claim and its release, with `size` finished tasks on record."""
    with TemporaryDirectory() as folder:
        return asyncio.run(_cost(f"sqlite:///{folder}/gateway.db", size, None))


def cost_on_valkey(size: int) -> float:
    """Return the same for a Valkey server and its client together."""
    with ExitStack() as stack:
        folder = stack.enter_context(TemporaryDirectory())
        server = ValkeyProcess(Path(folder) / "valkey")
        stack.callback(server.kill)
        return asyncio.run(_cost(server.url, size, server.pid))


async def _cost(url: str, size: int, server: int | None) -> float:
    store, _ = await open_store(url)
    await record_tasks(store, "bench", size)
    for number in range(_DUE):
        await store.put(TABLE, Record(key=f"due-{number}", value=b"{}", due=1.0))
    await _claim_all(store)
    begun = _used(server)
    for _ in range(_ROUNDS):
        await _claim_all(store)
    used = _used(server) - begun
    await store.aclose()
    return used / _ROUNDS / _DUE * 1e6


async def _claim_all(store: StateStore) -> None:
    claims = await store.claim_due(TABLE, limit=2 * _DUE, lease_seconds=60)
    assert len(claims) == _DUE
    for claim in claims:
        await store.release(TABLE, claim.record.key, claim.fence, due=1.0)


def _used(server: int | None) -> float:
    return time.process_time() + (cpu_seconds(server) if server else 0.0)
