"""A state store whose operations are timed and whose failures are counted."""

import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import TypeVar

from gateway.state.store import Claim, Record, StateStore, StoreUnavailable
from gateway.telemetry.metrics import Metrics

__all__ = ["MeasuredStore"]

T = TypeVar("T")


class MeasuredStore:
    """Passes everything on to `store`, which is called `backend` in the metrics."""

    def __init__(self, store: StateStore, backend: str, metrics: Metrics) -> None:
        self._store = store
        self._backend = backend
        self._metrics = metrics

    async def get(self, table: str, key: str) -> Record | None:
        return await self._measure("get", self._store.get(table, key))

    async def put(
        self, table: str, record: Record, *, durable: bool = False, fence: int | None = None
    ) -> Record:
        written = self._store.put(table, record, durable=durable, fence=fence)
        return await self._measure("put_durable" if durable else "put", written)

    async def delete(self, table: str, key: str) -> bool:
        return await self._measure("delete", self._store.delete(table, key))

    async def list(
        self, table: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        listed = self._store.list(table, owner, after=after, limit=limit, newest_first=newest_first)
        return await self._measure("list", listed)

    async def scan(self, table: str) -> Sequence[Record]:
        return await self._measure("scan", self._store.scan(table))

    async def claim_due(self, table: str, *, limit: int, lease_seconds: float) -> Sequence[Claim]:
        claimed = self._store.claim_due(table, limit=limit, lease_seconds=lease_seconds)
        return await self._measure("claim_due", claimed)

    async def release(self, table: str, key: str, fence: int, *, due: float) -> None:
        await self._measure("release", self._store.release(table, key, fence, due=due))

    async def now(self) -> float:
        return await self._measure("now", self._store.now())

    async def check_durable(self) -> None:
        await self._measure("check_durable", self._store.check_durable())

    def watch(self, table: str) -> AsyncGenerator[str, None]:
        return self._store.watch(table)

    async def aclose(self) -> None:
        await self._store.aclose()

    async def _measure(self, operation: str, work: Awaitable[T]) -> T:
        started = time.monotonic()
        metrics = self._metrics
        try:
            return await work
        except StoreUnavailable:
            metrics.count(metrics.state_errors, self._backend, operation)
            raise
        finally:
            metrics.observe(metrics.state_seconds, time.monotonic() - started, self._backend, operation)
