"""The deadlines of one connection's exchanges, on one coarse timer."""

import asyncio
from collections.abc import Callable
from math import inf

from gateway.transport.limits import Deadlines

__all__ = ["Watchdog"]


class Watchdog:
    """Calls ``on_late`` when an exchange passes a deadline.

    There is no timer per read. One timer fires at least every ``min(first_byte, between_bytes)`` seconds
    while an exchange is on, looks at the two times below and sets itself again. It outlives the exchange, so
    a busy connection rarely touches the loop's timers at all.
    """

    __slots__ = ("_fires_at", "_loop", "_on_late", "_tick", "_timer", "patience_ends", "total_ends")

    def __init__(self, loop: asyncio.AbstractEventLoop, on_late: Callable[[], None]) -> None:
        self._loop = loop
        self._on_late = on_late
        self._timer: asyncio.TimerHandle | None = None
        self._fires_at = inf
        self._tick = inf
        self.patience_ends = inf
        """When the present wait is too long: ``inf`` while nobody waits for the peer."""
        self.total_ends = inf
        """When the whole exchange is too long."""

    def start(self, deadlines: Deadlines, started_at: float) -> None:
        """Guard an exchange that began at ``started_at``."""
        self._tick = min(deadlines.first_byte, deadlines.between_bytes, deadlines.total)
        self.total_ends = started_at + deadlines.total
        if self._fires_at > started_at + self._tick:
            self._arm(started_at + self._tick)

    def stop(self) -> None:
        """Guard nothing; the timer runs out by itself."""
        self.patience_ends = self.total_ends = self._tick = inf

    def cancel(self) -> None:
        """Guard nothing ever again."""
        self.stop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, fires_at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._fires_at = fires_at
        self._timer = self._loop.call_at(fires_at, self._look) if fires_at < inf else None

    def _look(self) -> None:
        self._timer = None
        self._fires_at = inf
        now = self._loop.time()
        if now >= min(self.patience_ends, self.total_ends):
            self._on_late()
        else:
            self._arm(min(self.patience_ends, self.total_ends, now + self._tick))
