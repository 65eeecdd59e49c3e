"""The store's clock without asking the store each time."""

import time

__all__ = ["SetClock"]


class SetClock:
    """A clock that was set once, by the store's, and runs on by the monotonic one.

    Due times belong to the store's clock: this process's own may be wrong, or jump.
    """

    __slots__ = ("_offset",)

    def __init__(self, now: float) -> None:
        self._offset = now - time.monotonic()

    def now(self) -> float:
        """Return unix seconds."""
        return time.monotonic() + self._offset
