"""When to ask again: quick at first and near the typical end, slow between, within the account's budget."""

import math

__all__ = ["Budget", "Pace"]

_SLOWEST_FACTOR = 4.0
_LEARNING = 0.2


class Pace:
    """Poll intervals for one kind of task, from how long such tasks took."""

    def __init__(self, interval: float, typical: float = 90.0) -> None:
        self._interval = interval
        self._typical = typical

    def next_wait(self, elapsed: float) -> float:
        """Return the seconds until the next poll of a task that is `elapsed` seconds old.

        Never below the poll interval; longest in the middle of the typical duration.
        """
        share = elapsed / self._typical
        slowness = math.sin(math.pi * share) if share < 1.0 else 0.0
        return self._interval * (1.0 + (_SLOWEST_FACTOR - 1.0) * slowness)

    def progress(self, elapsed: float) -> float:
        """Guess how far a task is whose provider tells nothing; below 1 until it is over."""
        return 0.95 * (1.0 - math.exp(-1.5 * elapsed / self._typical))

    def learn(self, duration: float) -> None:
        """Take in how long a task took."""
        self._typical += _LEARNING * (max(duration, self._interval) - self._typical)


class Budget:
    """Polls per second of one account, evenly spaced.

    `reserve` returns when the next poll may go out; each call takes one place in the queue.
    """

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._next = 0.0

    def reserve(self, now: float) -> float:
        """Return the seconds to wait before the poll."""
        at = max(now, self._next)
        self._next = at + self._gap
        return at - now
