"""How long a piece of work has waited for peers: what of its time was not spent here."""

from contextvars import ContextVar

__all__ = ["Waiting", "measure_waiting", "present_waiting"]


class Waiting:
    """Seconds that were spent waiting, in all; calls that run side by side add up."""

    __slots__ = ("seconds",)

    def __init__(self) -> None:
        self.seconds = 0.0


_present: ContextVar[Waiting | None] = ContextVar("gateway_waiting", default=None)


def measure_waiting() -> Waiting:
    """Measure from now on what this task waits for, and every task that it starts."""
    waiting = Waiting()
    _present.set(waiting)
    return waiting


def present_waiting() -> Waiting | None:
    """Return what the running task adds its waiting to, None where nobody asks."""
    return _present.get()
