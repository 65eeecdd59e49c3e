"""What a store that is away cannot take yet: kept in memory, written once it answers again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, Protocol, TypeVar

import msgspec

from gateway.state.store import StoreUnavailable
from gateway.telemetry.logging import get_logger

__all__ = ["Backlog"]

_PAUSE_SECONDS = 1.0
_MOST_BYTES = 64 * 2**20


class _Named(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Named)
Step = Callable[[T], T]


class _Waiting(Generic[T]):
    """A value as it was first, the steps that are to be made on what is stored, and where they lead."""

    def __init__(self, first: T, steps: Sequence[Step[T]], now: T) -> None:
        self.first = first
        self.steps = steps
        self.now = now
        self.size = len(msgspec.json.encode(now))

    def all(self, value: T) -> T:
        """Return a value after all steps."""
        for step in self.steps:
            value = step(value)
        return value


class Backlog(Generic[T]):
    """Values that wait to be written; beyond `most` bytes those that changed longest ago are given up.

    Args:
        write: makes a step on what is stored, or on the given value where nothing is; a step may be repeated.
        most: bytes, as JSON.
    """

    def __init__(self, write: Callable[[T, Step[T]], Awaitable[None]], most: int = _MOST_BYTES) -> None:
        self._write = write
        self._most = most
        self._size = 0
        self._waiting: dict[str, _Waiting[T]] = {}
        self._writer: asyncio.Task[None] | None = None

    def find(self, name: str) -> T | None:
        """Return a value as it will be, None when it does not wait."""
        waiting = self._waiting.get(name)
        return waiting.now if waiting else None

    def add(self, value: T, step: Step[T]) -> None:
        """Make a step now, and on what is stored once the store is back."""
        known = self._take(value.id)
        if known is None:
            known = _Waiting(value, (), value)
        self._put(_Waiting(known.first, (*known.steps, step), step(known.now)))
        while self._size > self._most:
            oldest = next(iter(self._waiting))
            self._take(oldest)
            get_logger().warning("conversation_not_kept", chat_id=oldest)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_all())

    async def aclose(self) -> None:
        """Write what can be written now, and forget the rest."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        try:
            while self._waiting:
                await self._write_first()
        except StoreUnavailable:
            get_logger().warning("conversations_not_kept", count=len(self._waiting))

    async def _write_all(self) -> None:
        while self._waiting:
            try:
                await self._write_first()
            except StoreUnavailable:
                await asyncio.sleep(_PAUSE_SECONDS)

    async def _write_first(self) -> None:
        name, waiting = next(iter(self._waiting.items()))
        await self._write(waiting.first, waiting.all)
        # What was added meanwhile is written with the rest in the next round.
        if self._waiting.get(name) is waiting:
            self._take(name)

    def _put(self, waiting: _Waiting[T]) -> None:
        self._waiting[waiting.now.id] = waiting
        self._size += waiting.size

    def _take(self, name: str) -> _Waiting[T] | None:
        waiting = self._waiting.pop(name, None)
        self._size -= waiting.size if waiting else 0
        return waiting
