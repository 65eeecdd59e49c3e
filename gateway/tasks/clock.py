"""The store's clock without asking the store each time."""

import time

__all__ = ["SetClock"]


class SetClock:
    """A clock that was set once, by the store's, and runs on by the monotonic one.

    Due times belong to the store's clock: this process's own may be wrong, or jump.
    """

    __slots__ = ("_offset",)

    def __init__(self, now: float, asked: float | None = None) -> None:
        """Take `now` as the answer of a store that was asked at `asked` on the monotonic clock.

        The answer was under way for a while: with `asked` the clock never runs behind the store's.
        """
        self._offset = now - (time.monotonic() if asked is None else asked)

    def now(self) -> float:
        """Return unix seconds."""
        return time.monotonic() + self._offset
