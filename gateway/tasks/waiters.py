"""Whoever waits for a task in this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Waiter", "Waiters"]


class Waiter:
    """One who waits for changes; there may be thousands, so it is small."""

    __slots__ = ("_changed", "_sleep")

    def __init__(self) -> None:
        self._changed = False
        self._sleep: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Say that the task may have changed."""
        self._changed = True
        if self._sleep is not None and not self._sleep.done():
            self._sleep.set_result(None)

    async def wait(self, seconds: float) -> None:
        """Wait until the task may have changed since the last wait, or for so many seconds."""
        if not self._changed:
            loop = asyncio.get_running_loop()
            self._sleep = loop.create_future()
            timer = loop.call_later(seconds, self.wake)
            try:
                await self._sleep
            finally:
                timer.cancel()
                self._sleep = None
        self._changed = False


class Waiters:
    """The waiters of every task, woken when it may have changed."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[Waiter]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def waiting(self, task_id: str) -> Iterator[Waiter]:
        """Hand out a waiter for as long as the block runs."""
        waiter = Waiter()
        self._waiting[task_id].add(waiter)
        try:
            yield waiter
        finally:
            self._waiting[task_id].discard(waiter)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    def wake(self, task_id: str) -> None:
        """Let the waiters of a task look again; "" wakes all."""
        if not task_id:
            for known in tuple(self._waiting):
                self.wake(known)
        for waiter in self._waiting.get(task_id, ()):
            waiter.wake()
