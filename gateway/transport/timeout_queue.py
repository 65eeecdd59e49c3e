"""Timeouts of one length, all on one timer of the event loop."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["TimeoutQueue"]

T = TypeVar("T")


class TimeoutQueue(Generic[T]):
    """Calls `on_late` with each entry that was not discarded within `seconds` (up to twice as long).

    Made for waits that hardly ever last that long: where nearly every entry is discarded in time, a timer of
    its own for each would cost ten times as much. Entries are hashable, and each stands in line once.
    """

    def __init__(self, seconds: float, on_late: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._on_late = on_late
        self._entries: dict[T, None] = {}
        self._older: dict[T, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, entry: T) -> None:
        """Begin to wait for an entry."""
        self._entries[entry] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._turn)

    def discard(self, entry: T) -> None:
        """Wait no longer; does nothing for an entry that is not waited for."""
        if self._entries.pop(entry, self) is self:
            self._older.pop(entry, None)

    def _turn(self) -> None:
        """Call what has waited through a whole turn, and give the others one more."""
        late, self._older, self._entries = self._older, self._entries, {}
        waiting = bool(self._older)
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._turn) if waiting else None
        for entry in late:
            self._on_late(entry)
