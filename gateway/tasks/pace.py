"""When to ask again: quick at first and near the typical end, slow between, within the account's budget."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from gateway.state.store import LeaseStore, Slot

__all__ = ["Lane", "Pace"]

_SLOWEST_FACTOR = 4.0
_SLOWEST_SECONDS = 8.0
"""Where the interval allows it, no task waits longer: its end must be seen within 10 s."""
_LEARNING = 0.2
_QUEUE_SECONDS = 2.0


class Pace:
    """Poll intervals for one kind of task, from how long such tasks took."""

    def __init__(self, interval: float, typical: float = 90.0) -> None:
        self._interval = interval
        self._slowest = max(interval, min(interval * _SLOWEST_FACTOR, _SLOWEST_SECONDS))
        self._typical = typical

    def next_wait(self, elapsed: float) -> float:
        """Return the seconds until the next poll of a task that is `elapsed` seconds old.

        Never below the poll interval; longest in the middle of the typical duration.
        """
        share = elapsed / self._typical
        slowness = math.sin(math.pi * share) if 0.0 < share < 1.0 else 0.0
        return self._interval + (self._slowest - self._interval) * slowness

    def progress(self, elapsed: float) -> float:
        """Guess how far a task is whose provider tells nothing; below 1 until it is over."""
        return 0.95 * (1.0 - math.exp(-1.5 * max(elapsed, 0.0) / self._typical))

    def learn(self, duration: float) -> None:
        """Take in how long a task took."""
        self._typical += _LEARNING * (max(duration, self._interval) - self._typical)


class Lane:
    """The polls of one account: evenly spaced here, counted over all replicas.

    Each poll takes one of the account's places for a second and lets it run out, so that no replica can
    exceed the budget, however many there are.

    Args:
        name: upstream and account.
        per_second: the budget.
        leases: where the places are.
    """

    def __init__(self, name: str, per_second: float, leases: LeaseStore) -> None:
        cap = max(1, int(per_second))
        self._slot = Slot(f"polls/{name}", cap)
        self._window = cap / per_second
        self._gap = 1.0 / per_second
        self._depth = max(2, int(per_second * _QUEUE_SECONDS))
        self._leases = leases
        self._inside = 0
        self._next = self._last_deferred = -math.inf

    def defer(self) -> float | None:
        """Return the seconds until a task should come back if the queue is full, else None.

        Those that are sent away come back one by one, as fast as the queue moves on.
        """
        if self._inside < self._depth:
            return None
        now = time.monotonic()
        self._last_deferred = max(self._last_deferred, now + _QUEUE_SECONDS) + self._gap
        return self._last_deferred - now

    def round_seconds(self, tasks: int) -> float:
        """Return how long one poll of each of so many tasks takes."""
        return tasks * self._gap

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a place in the budget; raises `StoreUnavailable`."""
        self._inside += 1
        try:
            now = time.monotonic()
            self._next = max(now, self._next + self._gap)
            await asyncio.sleep(self._next - now)
            await self._take_place()
            yield
        finally:
            self._inside -= 1

    async def _take_place(self) -> None:
        while True:
            place = await self._leases.acquire([self._slot], ttl=self._window)
            if place is not None:
                return
            await asyncio.sleep(self._gap / 4)
