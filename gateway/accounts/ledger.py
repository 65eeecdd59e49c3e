"""What was learned about every account, kept over restarts and shared by all replicas."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Final

import msgspec

from gateway.accounts.records import LEDGER, OVERLAY, decode_line, encode_line, read_disabled
from gateway.accounts.standing import FOREVER, Scope, Standing, learn, merge
from gateway.generation.errors import GatewayError
from gateway.state.store import Conflict, Record, StateStore, StoreUnavailable
from gateway.telemetry.logging import get_logger

__all__ = ["Ledger"]

_COUNTS_SECONDS: Final = 30.0
"""How long counts may wait for the next write; a changed verdict is written at once."""
_RETRY_SECONDS: Final = (0.05, 1.0)
"""The first pause after the store did not answer, and the longest: one late answer must not cost a second."""


class _Line:
    """A standing here, and what the store is known to hold for it."""

    __slots__ = ("standing", "synced", "version")

    def __init__(self) -> None:
        self.standing = self.synced = Standing()
        self.version = 0


class Ledger:
    """The standings of all accounts, in memory; the store follows, and so do the other replicas.

    Reading and learning never wait. While the store is away the ledger goes on alone and catches up later.
    """

    def __init__(
        self,
        store: StateStore,
        *,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
        rested: Callable[[Scope, str], None] = lambda scope, reason: None,
    ) -> None:
        """`rested` is told of every rest that begins or grows by what this process was told, and why."""
        self.clock = clock
        self._store = store
        self._chance = chance
        self._rested = rested
        self._lines: dict[Scope, _Line] = {}
        self._disabled: frozenset[tuple[str, str]] = frozenset()
        self._news: dict[Scope, None] = {}
        self._counts: dict[Scope, None] = {}
        self._some_news = asyncio.Event()
        self._sync = asyncio.Lock()
        self._listeners: list[Callable[[Scope], None]] = []

    def standing(self, scope: Scope) -> Standing:
        """Return what is known; the account as a whole also obeys the operator's word."""
        if not scope.chat_type and (scope.upstream, scope.account) in self._disabled:
            return Standing(state="disabled", until=FOREVER, reason="disabled")
        line = self._lines.get(scope)
        return Standing() if line is None else line.standing

    def learn(self, scope: Scope, error: GatewayError | None, *, begun: float) -> None:
        """Take in how a call ended that began at `begun` (unix seconds); None is a success."""
        line = self._lines.get(scope) or self._open_line(scope)
        before = line.standing
        if error is None and before.settled:  # The usual case, which nothing is to be judged in.
            line.standing = msgspec.structs.replace(before, requests=before.requests + 1)
            self._counts[scope] = None
            return
        line.standing = learn(before, error, begun=begun, now=self.clock(), jitter=self._chance())
        if line.standing.until > before.until:
            self._rested(scope, line.standing.reason)
        if line.standing.same_verdict(before):
            self._counts[scope] = None
            return
        self._news[scope] = None
        self._some_news.set()
        self._announce(scope, before, line.standing)

    def listen(self, heard: Callable[[Scope], None]) -> None:
        """Call `heard` with each scope whose verdict has changed, here or elsewhere."""
        self._listeners.append(heard)

    def scopes(self) -> list[Scope]:
        """Return every scope that something is known about."""
        return list(self._lines)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load what is known, then keep in step with the store; write the rest at the end.

        Raises:
            StoreUnavailable: the ledger cannot be loaded.
        """
        await self._load()
        await self._load_overlay()
        tasks = [
            asyncio.create_task(work)
            for work in (
                self._write_behind(),
                self._follow(LEDGER, self._hear_line),
                self._follow(OVERLAY, self._hear_overlay),
            )
        ]
        for task in tasks:
            task.add_done_callback(_report_crash)
        try:
            yield
        finally:
            async with self._sync:  # No write is cut off half-way.
                for task in tasks:
                    task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._flush(counts_too=True)

    def _open_line(self, scope: Scope) -> _Line:
        line = self._lines[scope] = _Line()
        return line

    def _announce(self, scope: Scope, before: Standing, after: Standing) -> None:
        if (after.state, after.reason) != (before.state, before.reason):
            get_logger().info(
                "account_state",
                upstream=scope.upstream,
                account=scope.account,
                chat_type=scope.chat_type,
                model=scope.model,
                state=after.state,
                reason=after.reason,
                until=after.until,
            )
        self._tell(scope)

    # ------------------------------------------------------------------ out: written behind

    async def _write_behind(self) -> None:
        """Write news at once, and counts now and then."""
        pause = _RETRY_SECONDS[0]
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_COUNTS_SECONDS):
                    await self._some_news.wait()
            counts_too = not self._some_news.is_set()
            self._some_news.clear()
            if await self._flush(counts_too=counts_too):
                pause = _RETRY_SECONDS[0]
            else:
                await asyncio.sleep(pause)
                pause = _longer(pause)
                self._some_news.set()

    async def _flush(self, *, counts_too: bool) -> bool:
        """Write what is unwritten, news first; False when the store is away."""
        try:
            while waiting := self._news or (self._counts if counts_too else None):
                await self._write(next(iter(waiting)))
        except StoreUnavailable as error:
            get_logger().warning("ledger_not_written", error=str(error))
            return False
        return True

    async def _write(self, scope: Scope) -> None:
        line = self._lines[scope]
        async with self._sync:
            # Forgotten first: what is learned while the store writes is unwritten again.
            self._news.pop(scope, None)
            self._counts.pop(scope, None)
            try:
                while not await self._try_write(scope, line):
                    self._take_in(scope, await self._store.get(LEDGER, scope.key))
            except StoreUnavailable:
                self._news[scope] = None
                raise

    async def _try_write(self, scope: Scope, line: _Line) -> bool:
        mine = line.standing
        record = encode_line(scope, mine, version=line.version, now=self.clock())
        try:
            written = await self._store.put(LEDGER, record)
        except Conflict:
            return False
        line.synced, line.version = mine, written.version
        return True

    # ------------------------------------------------------------------ in: what others wrote

    async def _follow(self, table: str, hear: Callable[[str], Awaitable[None]]) -> None:
        pause = _RETRY_SECONDS[0]
        while True:
            try:
                async with aclosing(self._store.watch(table)) as keys:
                    async for key in keys:
                        await hear(key)
                        pause = _RETRY_SECONDS[0]
            except StoreUnavailable as error:
                get_logger().warning("ledger_not_followed", table=table, error=str(error))
            await asyncio.sleep(pause)
            pause = _longer(pause)

    async def _hear_line(self, key: str) -> None:
        """Re-read one record, or all of them when the hint is empty."""
        if not key:
            await self._load()
            return
        async with self._sync:
            record = await self._store.get(LEDGER, key)
            line = record and decode_line(record)
            if line:
                self._take_in(line[0], record)

    async def _hear_overlay(self, _key: str) -> None:
        await self._load_overlay()

    async def _load(self) -> None:
        async with self._sync:
            for record in await self._store.scan(LEDGER):
                line = decode_line(record)
                if line is None:
                    get_logger().warning("ledger_record_unreadable", key=record.key)
                else:
                    self._take_in(line[0], record)

    async def _load_overlay(self) -> None:
        disabled = frozenset(await read_disabled(self._store))
        changed, self._disabled = self._disabled ^ disabled, disabled
        for upstream, account in changed:
            self._tell(Scope(upstream, account))

    def _take_in(self, scope: Scope, record: Record | None) -> None:
        """Join a stored record, None for none, with what is known here."""
        line = self._lines.get(scope) or self._open_line(scope)
        decoded = record and decode_line(record)
        line.version = 0 if record is None else record.version
        if not decoded:
            return  # Expired or unreadable: what is known here stands, and the next news replaces it.
        before, stored = line.standing, decoded[1]
        line.standing, line.synced = merge(stored, before, line.synced), stored
        if not line.standing.same_verdict(before):
            self._announce(scope, before, line.standing)

    def _tell(self, scope: Scope) -> None:
        for heard in self._listeners:
            heard(scope)


def _longer(pause: float) -> float:
    return min(pause * 2, _RETRY_SECONDS[1])


def _report_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        get_logger().error("ledger_stopped", exc_info=error)
