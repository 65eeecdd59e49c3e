"""A circuit breaker: after a few failures in a row, fail at once instead of waiting each time."""

import time
from collections.abc import Callable

__all__ = ["Breaker"]


class Breaker:
    """Closed while calls succeed; open for a while after `threshold` failures; then one trial at a time."""

    def __init__(
        self, *, threshold: int = 3, pause: float = 1.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._threshold = threshold
        self._pause = pause
        self._clock = clock
        self._failures = 0
        self._closed_from = 0.0

    def allow(self) -> bool:
        """Whether a call may be tried now. A trial keeps others out until it succeeds or the pause ends."""
        if self._failures < self._threshold:
            return True
        now = self._clock()
        if now < self._closed_from:
            return False
        self._closed_from = now + self._pause
        return True

    def succeeded(self) -> None:
        """Note that the other side answered."""
        self._failures = 0

    def failed(self) -> None:
        """Note that the other side did not answer."""
        self._failures += 1
        self._closed_from = self._clock() + self._pause
