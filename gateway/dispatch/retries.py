"""The retry budget: a failing provider is never amplified."""

__all__ = ["RetryBudget"]


class RetryBudget:
    """Retries after provider faults, as a share of live traffic.

    Each request earns `share` of a retry and each retry spends one, so that retries stay at or below
    `share` of the requests; at most `reserve` are saved up in quiet times.
    """

    def __init__(self, share: float = 0.1, reserve: float = 10.0) -> None:
        self._share = share
        self._reserve = reserve
        self._saved = 1.0

    def earn(self) -> None:
        """Note a request."""
        self._saved = min(self._reserve, self._saved + self._share)

    def spend(self) -> bool:
        """Take one retry if there is one."""
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True
