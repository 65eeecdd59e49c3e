"""Records and bytes in one SQLite database, touched by one thread only."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from .records import Record

__all__ = ["Store"]

R = TypeVar("R", bound=Record)
T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records(
    kind TEXT, id TEXT, owner TEXT, parent TEXT, label TEXT, created REAL, record TEXT,
    PRIMARY KEY (kind, id)
);
CREATE INDEX IF NOT EXISTS records_by_owner ON records(kind, owner, created);
CREATE INDEX IF NOT EXISTS records_by_parent ON records(kind, parent, created);
CREATE TABLE IF NOT EXISTS blobs(path TEXT PRIMARY KEY, content BLOB);
CREATE TABLE IF NOT EXISTS journal(id INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT);
CREATE TABLE IF NOT EXISTS facts(name TEXT PRIMARY KEY, value TEXT);
"""
_PUT = "INSERT OR REPLACE INTO records VALUES (?, ?, ?, ?, ?, ?, ?)"


class Store:
    """The sandbox's memory; every call runs on the store's own thread, in order.

    A commit is in the operating system's hands when the call returns, so it
    survives the death of the process by SIGKILL. `path=None` keeps all in memory.
    """

    def __init__(self, path: str | None) -> None:
        self._path = path or ":memory:"
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-store")
        self._connection: sqlite3.Connection | None = None

    async def open(self) -> None:
        """Open the database and make its tables."""
        await self._run(self._open)

    async def aclose(self) -> None:
        """Finish what was asked for, then close; closing twice is harmless."""
        await self._run(self._close)
        self._thread.shutdown()

    async def put(self, *records: Record) -> None:
        """Write all records, or none."""
        await self._run(lambda: self._put(records))

    def put_soon(self, record: Record) -> "Future[None]":
        """Write without waiting, for clean-up code that must not be interrupted."""
        return self._thread.submit(self._put, (record,))

    async def get(self, kind: type[R], id_: str, owner: str | None = None) -> R | None:
        """One record, or `None` if there is none or it belongs to another owner."""
        rows = await self._select("id = ?", kind, id_)
        return next((row for row in rows if owner in (None, row.owner)), None)

    async def find(self, kind: type[R], *, owner: str | None = None, group: str | None = None) -> list[R]:
        """All records of an owner or a group (or all), oldest first."""
        if group is not None:
            return await self._select("parent = ?", kind, group)
        if owner is not None:
            return await self._select("owner = ?", kind, owner)
        return await self._select("? = ''", kind, "")

    async def count(self, kind: type[Record], owner: str, label: str, since: float) -> int:
        """How many records of this label the owner made since a moment."""
        sql = "SELECT count(*) FROM records WHERE kind=? AND owner=? AND created>=? AND label=?"
        rows = await self._query(sql, kind.table, owner, since, label)
        return int(rows[0][0])

    async def delete_chat(self, chat_id: str) -> None:
        """Forget a chat and its messages; tasks and media stay readable, as on the real site."""
        sql = "DELETE FROM records WHERE (kind='chat' AND id=?) OR (kind='message' AND parent=?)"
        await self._query(sql, chat_id, chat_id)

    async def write_blob(self, path: str, content: bytes, *records: Record) -> None:
        """Keep bytes under a path, together with the records that speak of them."""
        await self._run(lambda: self._write_blob(path, content, records))

    async def read_blob(self, path: str) -> bytes | None:
        """Return the bytes under a path."""
        rows = await self._query("SELECT content FROM blobs WHERE path=?", path)
        return bytes(rows[0][0]) if rows else None

    async def append(self, entry: str, limit: int) -> int:
        """Add a journal entry, forget those beyond `limit`, return the new entry's number."""
        return await self._run(lambda: self._append(entry, limit))

    async def entries(self, after: int, limit: int) -> list[tuple[int, str]]:
        """Journal entries numbered above `after`, oldest first."""
        return await self._query("SELECT id, entry FROM journal WHERE id>? ORDER BY id LIMIT ?", after, limit)

    async def fact(self, name: str, default: str) -> str:
        """Return a small value kept once and for all: `default` if nobody set it before."""
        await self._query("INSERT OR IGNORE INTO facts VALUES (?, ?)", name, default)
        rows = await self._query("SELECT value FROM facts WHERE name=?", name)
        return str(rows[0][0])

    async def set_fact(self, name: str, value: str) -> None:
        """Replace a small value."""
        await self._query("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    async def clear(self) -> None:
        """Forget everything but the facts."""
        for table in ("records", "blobs", "journal"):
            await self._query(f"DELETE FROM {table}")  # noqa: S608  # names above, not input

    async def _select(self, condition: str, kind: type[R], value: str) -> list[R]:
        sql = f"SELECT record FROM records WHERE kind=? AND {condition} ORDER BY created, rowid"  # noqa: S608
        rows = await self._query(sql, kind.table, value)
        return [msgspec.json.decode(row[0], type=kind) for row in rows]

    async def _query(self, sql: str, *values: Any) -> list[Any]:
        return await self._run(lambda: self._execute(sql, values))

    async def _run(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    def _open(self) -> None:
        Path(self._path).parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(_SCHEMA)
        self._connection = connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise RuntimeError("the sandbox store is not open")
        return self._connection

    def _execute(self, sql: str, values: Iterable[Any]) -> list[Any]:
        return self._db.execute(sql, tuple(values)).fetchall()

    def _transact(self, act: Callable[[], None]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            act()
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def _put(self, records: Iterable[Record]) -> None:
        rows = [_row(record) for record in records]
        self._transact(lambda: self._insert(rows))

    def _insert(self, rows: list[tuple[Any, ...]]) -> None:
        self._db.executemany(_PUT, rows)

    def _write_blob(self, path: str, content: bytes, records: Iterable[Record]) -> None:
        rows = [_row(record) for record in records]

        def act() -> None:
            self._db.execute("INSERT OR REPLACE INTO blobs VALUES (?, ?)", (path, content))
            self._insert(rows)

        self._transact(act)

    def _append(self, entry: str, limit: int) -> int:
        number = self._db.execute("INSERT INTO journal(entry) VALUES (?)", (entry,)).lastrowid or 0
        if number % 1000 == 0:
            self._db.execute("DELETE FROM journal WHERE id<=?", (number - limit,))
        return number


def _row(record: Record) -> tuple[Any, ...]:
    text = msgspec.json.encode(record).decode()
    return (record.table, record.id, record.owner, record.group, record.label, record.created, text)
