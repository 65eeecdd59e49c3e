"""When to ask again: quick at first and near the typical end, slow between, within the account's budget."""

import asyncio
import math
import time

from gateway.state.store import LeaseStore
from gateway.tasks.clock import SetClock

__all__ = ["Lane", "Pace"]

_SLOWEST_FACTOR = 4.0
_SLOWEST_SECONDS = 8.0
"""Where the interval allows it, no task waits longer: its end must be seen within 10 s."""
_LEARNING = 0.2
_QUEUE_SECONDS = 3.0
_LATE_SECONDS = 0.05
"""A poll that would be later than this is not made."""
_UNDER_WAY_SECONDS = 0.1
"""How much longer than others a poll may be under way, without being one too many at the provider."""


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
    """The polls of one account: one queue over all replicas, kept by the store and its clock.

    The provider counts what arrives, some of it later after its turn than the rest. The turns are so far
    apart that no second exceeds the budget all the same.

    Args:
        name: upstream and account.
        per_second: the budget.
        leases: where the queue is.
    """

    def __init__(self, name: str, per_second: float, leases: LeaseStore) -> None:
        self._queue = f"polls/{name}"
        self._gap = (1.0 + _LATE_SECONDS + _UNDER_WAY_SECONDS) / per_second
        self._leases = leases

    async def wait_turn(self, clock: SetClock, *, is_new: bool) -> tuple[bool, float]:
        """Return whether it is our turn now, and from when on (by `clock`) there is room for the next look.

        A newcomer takes a turn only from an empty queue: where the budget is short, all take part in rounds.

        Raises:
            StoreUnavailable: nobody knows whose turn it is.
        """
        asked = time.monotonic()
        patience = 0.0 if is_new else _QUEUE_SECONDS
        turn = await self._leases.take_turn(self._queue, gap=self._gap, patience=patience)
        room = clock.now() + turn.back
        if turn.wait is None:
            return False, room
        await asyncio.sleep(turn.wait)
        if time.monotonic() > asked + turn.wait + _LATE_SECONDS:
            return False, clock.now()
        return True, room
