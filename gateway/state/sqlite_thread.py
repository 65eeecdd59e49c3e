"""The one thread that owns a SQLite connection, and the order in which it commits.

Durable and other writes share one connection. `synchronous` is set per transaction: FULL syncs the
write-ahead log before the commit returns, NORMAL leaves it to the next sync. The log is one
sequence, so a durable write can never rest on an earlier write that is lost.

What waits is taken in one batch and split by kind. Reads go first, then ordinary writes, both without a
sync; durable writes come last and share one sync, whatever their number.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from gateway.state import sqlite_records
from gateway.state.sqlite_file import describe, open_database
from gateway.state.store import StoreUnavailable

__all__ = ["Act", "Kind", "SqliteThread"]

T = TypeVar("T")
Act = Callable[[sqlite3.Connection, float], T]

_BATCH = 256


class Kind(IntEnum):
    """What a job needs of the disk, in the order in which a batch is run."""

    READ = 0
    WRITE = 1
    DURABLE = 2


_SYNCHRONOUS = {Kind.WRITE: "PRAGMA synchronous = NORMAL", Kind.DURABLE: "PRAGMA synchronous = FULL"}


class _Job(msgspec.Struct, frozen=True, eq=False):
    kind: Kind
    act: Act[Any]
    answer: asyncio.Future[Any]
    done: Callable[[], None]


class SqliteThread:
    """Runs jobs on one connection, on one thread, and answers on the loop that started it."""

    def __init__(self, path: str, *, patience: float, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._patience = patience
        self._clock = clock
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._ended = self._loop.create_future()
        self._closed = False
        self.writable = True
        """Whether the last write was kept."""

    async def start(self) -> None:
        """Open the file; raises `StoreUnavailable` when it cannot be."""
        opened = self._loop.create_future()
        threading.Thread(target=self._main, args=(opened,), name="gateway-state", daemon=True).start()
        await opened

    async def run(self, kind: Kind, act: Act[T], done: Callable[[], None] = lambda: None) -> T:
        """Run `act` and return its answer; call `done` once it is committed, whoever still waits.

        Raises:
            StoreUnavailable: the disk refuses, takes longer than our patience, or we are closed.
        """
        if self._closed:
            raise StoreUnavailable(f"state file {self._path} is closed")
        answer: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(kind, act, answer, done))
        try:
            async with asyncio.timeout(self._patience):
                return await answer
        except TimeoutError as error:
            message = f"state file {self._path}: no answer within {self._patience:g} s"
            raise StoreUnavailable(message) from error

    async def close(self) -> None:
        """Finish what waits, then close the file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.shield(self._ended)

    def _main(self, opened: asyncio.Future[None]) -> None:
        try:
            with open_database(self._path) as connection:
                self._tell(_settle, opened, None)
                self._serve(connection)
        except StoreUnavailable as error:
            self._tell(_settle, opened, error)
        finally:
            self._closed = True
            self._tell(_settle, opened, StoreUnavailable(f"state file {self._path}: its thread has ended"))
            self._tell(_settle, self._ended, None)

    def _serve(self, connection: sqlite3.Connection) -> None:
        open_ = True
        while open_:
            batch = self._take_batch()
            open_ = None not in batch
            jobs = sorted((job for job in batch if job), key=attrgetter("kind"))
            for kind, group in groupby(jobs, key=attrgetter("kind")):
                self._run_group(connection, kind, list(group))

    def _take_batch(self) -> list[_Job | None]:
        batch = [self._jobs.get()]
        with suppress(queue.Empty):
            while len(batch) < _BATCH:
                batch.append(self._jobs.get_nowait())
        return batch

    def _run_group(self, connection: sqlite3.Connection, kind: Kind, jobs: Sequence[_Job]) -> None:
        try:
            answers = self._commit(connection, kind, jobs) if kind else self._run_each(connection, jobs)
            self.writable = self.writable or kind is not Kind.READ
        except sqlite3.Error as error:
            answers = [describe(self._path, error) for _ in jobs]
            self.writable = self.writable and kind is Kind.READ
        self._tell(_deliver, jobs, answers)

    def _commit(self, connection: sqlite3.Connection, kind: Kind, jobs: Sequence[_Job]) -> list[Any]:
        """Run writes in one transaction, and bury a few expired records on the way."""
        connection.execute(_SYNCHRONOUS[kind])
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            sqlite_records.sweep(connection, self._clock())
            return self._run_each(connection, jobs)

    def _run_each(self, connection: sqlite3.Connection, jobs: Sequence[_Job]) -> list[Any]:
        return [_attempt(job, connection, self._clock()) for job in jobs]

    def _tell(self, call: Callable[..., None], *args: Any) -> None:
        with suppress(RuntimeError):  # the loop is closed, and all who waited on it are gone
            self._loop.call_soon_threadsafe(call, *args)


def _attempt(job: _Job, connection: sqlite3.Connection, now: float) -> Any:
    """Return the answer or the caller's own error; SQLite's errors concern the whole transaction."""
    try:
        return job.act(connection, now)
    except sqlite3.Error:
        raise
    except Exception as error:  # noqa: BLE001 - it is raised again where the job came from
        return error


def _deliver(jobs: Sequence[_Job], answers: Sequence[Any]) -> None:
    for job, answer in zip(jobs, answers, strict=True):
        _settle(job.answer, answer)
        if not isinstance(answer, Exception):
            job.done()


def _settle(future: asyncio.Future[Any], answer: Any) -> None:
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
