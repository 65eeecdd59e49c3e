"""Records in one SQLite file: the default, for one process."""

import shutil
import sqlite3
import time
from collections.abc import AsyncGenerator, Sequence
from functools import partial
from pathlib import Path

from gateway.state import sqlite_records
from gateway.state.hints import Hints
from gateway.state.sqlite_file import MEMORY
from gateway.state.sqlite_thread import Act, Kind, SqliteThread, T
from gateway.state.store import Claim, Record, StoreUnavailable

__all__ = ["SqliteStore"]

_MIN_FREE_BYTES = 32 * 1024 * 1024
_PATIENCE_SECONDS = 5.0


class SqliteStore:
    """The `StateStore` over one file, or over memory, which ends with the process.

    Memory counts as durable: who chose it wants nothing kept.
    """

    def __init__(self, path: str, thread: SqliteThread, min_free_bytes: int) -> None:
        self._path = path
        self._thread = thread
        self._min_free_bytes = min_free_bytes
        self._hints = Hints()

    @classmethod
    async def open(
        cls,
        path: str = MEMORY,
        *,
        min_free_bytes: int = _MIN_FREE_BYTES,
        patience: float = _PATIENCE_SECONDS,
    ) -> "SqliteStore":
        """Open `path`, making it if need be; it is ours alone until `aclose` or the end of the process.

        Raises:
            StoreUnavailable: the file is in use, unwritable, damaged or not a gateway's.
        """
        thread = SqliteThread(path, patience=patience)
        await thread.start()
        return cls(path, thread, min_free_bytes)

    async def get(self, table: str, key: str) -> Record | None:
        return await self._thread.run(Kind.READ, partial(sqlite_records.get, table=table, key=key))

    async def put(
        self, table: str, record: Record, *, durable: bool = False, fence: int | None = None
    ) -> Record:
        act = partial(sqlite_records.put, table=table, record=record, fence=fence)
        return await self._change(table, record.key, act, Kind.DURABLE if durable else Kind.WRITE)

    async def delete(self, table: str, key: str) -> bool:
        return await self._change(
            table, key, partial(sqlite_records.delete, table=table, key=key), Kind.WRITE
        )

    async def list(
        self, table: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        act = partial(
            sqlite_records.list_owned,
            table=table,
            owner=owner,
            after=after,
            limit=limit,
            newest_first=newest_first,
        )
        return await self._thread.run(Kind.READ, act)

    async def scan(self, table: str) -> Sequence[Record]:
        return await self._thread.run(Kind.READ, partial(sqlite_records.scan, table=table))

    async def claim_due(self, table: str, *, limit: int, lease_seconds: float) -> Sequence[Claim]:
        act = partial(sqlite_records.claim_due, table=table, limit=limit, lease_seconds=lease_seconds)
        return await self._thread.run(Kind.WRITE, act)

    async def release(self, table: str, key: str, fence: int, *, due: float) -> None:
        act = partial(sqlite_records.release, table=table, key=key, fence=fence, due=due)
        await self._thread.run(Kind.WRITE, act)

    async def now(self) -> float:
        return time.time()

    async def check_durable(self) -> None:
        await self._thread.run(Kind.READ, self._check_space)
        if not self._thread.writable:
            await self._thread.run(Kind.DURABLE, sqlite_records.probe)

    def watch(self, table: str) -> AsyncGenerator[str, None]:
        return self._hints.watch(table)

    async def aclose(self) -> None:
        await self._thread.close()

    async def _change(self, table: str, key: str, act: Act[T], kind: Kind) -> T:
        return await self._thread.run(kind, act, partial(self._hints.publish, table, key))

    def _check_space(self, _connection: sqlite3.Connection, _now: float) -> None:
        if self._path == MEMORY:
            return
        free = shutil.disk_usage(Path(self._path).parent).free
        if free < self._min_free_bytes:
            raise StoreUnavailable(f"state file {self._path}: only {free} bytes are free on its disk")
