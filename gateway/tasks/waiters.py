"""Whoever waits for a task in this process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["Waiters"]


class Waiters:
    """One event per waiter, set when the waiter's task may have changed."""

    def __init__(self) -> None:
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    @contextmanager
    def waiting(self, task_id: str) -> Iterator[asyncio.Event]:
        """Hand out an event for as long as the block runs."""
        changed = asyncio.Event()
        self._waiting[task_id].add(changed)
        try:
            yield changed
        finally:
            self._waiting[task_id].discard(changed)
            if not self._waiting[task_id]:
                del self._waiting[task_id]

    def wake(self, task_id: str) -> None:
        """Let the waiters of a task look again; "" wakes all."""
        if not task_id:
            for known in tuple(self._waiting):
                self.wake(known)
        for changed in self._waiting.get(task_id, ()):
            changed.set()
