"""Something to be done again and again for each of many: one timer for all of them."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

__all__ = ["Heartbeat"]

Beat = Callable[[], object]


class Heartbeat:
    """Calls every member each `seconds`, counted from when it was added, so that the calls are spread.

    All wait equally long, so whoever stands first in line is due first. A call neither waits nor raises.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = OrderedDict[Beat, float]()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due)

    def add(self, beat: Beat) -> None:
        """Call it from now on, for the first time in `seconds`."""
        due = asyncio.get_running_loop().time() + self._seconds
        self._due[beat] = due
        if self._timer is None:
            self._sleep(due)

    def discard(self, beat: Beat) -> None:
        """Call it no more."""
        self._due.pop(beat, None)

    def _sleep(self, due: float) -> None:
        self._timer = asyncio.get_running_loop().call_at(due, self._turn)

    def _turn(self) -> None:
        """Call those whose time has come, and sleep until the next one's."""
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._due:
            beat, due = next(iter(self._due.items()))
            if due > now:
                self._sleep(due)
                return
            self._due[beat] = now + self._seconds
            self._due.move_to_end(beat)
            beat()
