"""The unfinished tasks that this process has seen lately, for the metrics."""

import time
from collections import Counter

import msgspec

from gateway.tasks.task import FINAL, Task
from gateway.telemetry.metrics import Metrics

__all__ = ["Census"]

_FORGET_SECONDS = 120.0
"""A task that was not seen for so long is another replica's, or gone."""


class _Seen(msgspec.Struct, frozen=True):
    kind: str
    state: str
    created: float
    at: float


class Census:
    """Counts tasks by kind and state."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seen: dict[str, _Seen] = {}
        self._shown: set[tuple[str, str]] = set()

    def note(self, task: Task) -> None:
        """Count a task, or stop counting it."""
        if task.state in FINAL:
            self._seen.pop(task.id, None)
        else:
            kind, state = task.request.chat_type, task.state.value
            self._seen[task.id] = _Seen(kind, state, task.created, time.monotonic())

    def publish(self, now: float) -> None:
        """Forget who was not seen for long, and set the gauges; `now` is in unix seconds."""
        horizon = time.monotonic() - _FORGET_SECONDS
        self._seen = {task_id: seen for task_id, seen in self._seen.items() if seen.at > horizon}
        everyone = self._seen.values()
        counts = Counter((seen.kind, seen.state) for seen in everyone)
        for labels in self._shown | set(counts):
            self._metrics.set(self._metrics.tasks, counts[labels], *labels)
        for kind in {kind for kind, _ in self._shown | set(counts)}:
            oldest = min((seen.created for seen in everyone if seen.kind == kind), default=now)
            self._metrics.set(self._metrics.task_oldest_pending_seconds, max(0.0, now - oldest), kind)
        self._shown |= set(counts)
