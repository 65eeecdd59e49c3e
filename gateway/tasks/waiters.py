"""Whoever waits for a task in this process."""

import asyncio
from collections import defaultdict

from gateway.tasks.heartbeat import Heartbeat

__all__ = ["Waiter", "Waiters"]

_RECHECK_SECONDS = 10.0
"""Waiters look at their task again at least this often, hint or not."""


class Waiters:
    """The waiters of every task, woken when it may have changed."""

    def __init__(self) -> None:
        self._waiting = defaultdict[str, list[Waiter]](list)
        self._recheck = Heartbeat(_RECHECK_SECONDS)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def waiting(self, task_id: str) -> "Waiter":
        """Return one who waits for a task as long as its context is entered."""
        return Waiter(self, task_id)

    def wake(self, task_id: str) -> None:
        """Let the waiters of a task look again; "" wakes all."""
        if not task_id:
            for known in tuple(self._waiting):
                self.wake(known)
        for waiter in self._waiting.get(task_id, ()):
            waiter.wake()

    def enter(self, waiter: "Waiter", task_id: str) -> None:
        """Wake a waiter from now on."""
        self._waiting[task_id].append(waiter)
        self._recheck.add(waiter.wake)

    def leave(self, waiter: "Waiter", task_id: str) -> None:
        """Wake a waiter no more."""
        self._recheck.discard(waiter.wake)
        self._waiting[task_id].remove(waiter)
        if not self._waiting[task_id]:
            del self._waiting[task_id]


class Waiter:
    """One who waits for changes; there may be thousands, so it is small."""

    __slots__ = ("_changed", "_others", "_sleep", "_task_id")

    def __init__(self, others: Waiters, task_id: str) -> None:
        self._others = others
        self._task_id = task_id
        self._changed = False
        self._sleep: asyncio.Future[None] | None = None

    def __enter__(self) -> "Waiter":
        self._others.enter(self, self._task_id)
        return self

    def __exit__(self, *_: object) -> None:
        self._others.leave(self, self._task_id)

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
            # A longer wait is ended by the next recheck.
            timer = loop.call_later(seconds, self.wake) if seconds < _RECHECK_SECONDS else None
            try:
                await self._sleep
            finally:
                if timer is not None:
                    timer.cancel()
                self._sleep = None
        self._changed = False
