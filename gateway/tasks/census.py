"""The unfinished tasks that this process has seen lately, for the pace and for metrics."""

import time
from collections import Counter, defaultdict

import msgspec

from gateway.tasks.task import FINAL, Task
from gateway.telemetry.metrics import Metrics

__all__ = ["Census"]

_FORGET_SECONDS = 120.0
"""A task that was not seen for so long is another replica's, or gone."""

_Name = tuple[str, str]


class _Seen(msgspec.Struct, frozen=True):
    kind: str
    state: str
    created: float
    at: float


class Census:
    """Counts tasks by account, kind and state."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._seen: defaultdict[_Name, dict[str, _Seen]] = defaultdict(dict)
        self._shown: set[tuple[str, str]] = set()

    def note(self, task: Task) -> None:
        """Count a task, or stop counting it."""
        tasks = self._seen[task.upstream, task.account]
        if task.state in FINAL:
            tasks.pop(task.id, None)
        else:
            kind = task.request.chat_type
            tasks[task.id] = _Seen(kind, task.state.value, task.created, time.monotonic())

    def count(self, upstream: str, account: str) -> int:
        """Return how many unfinished tasks an account has, as far as this process knows."""
        return len(self._seen[upstream, account])

    def publish(self, now: float) -> None:
        """Forget who was not seen for long, and set the gauges; `now` is in unix seconds."""
        horizon = time.monotonic() - _FORGET_SECONDS
        self._seen = defaultdict(dict, {name: _since(tasks, horizon) for name, tasks in self._seen.items()})
        everyone = [seen for tasks in self._seen.values() for seen in tasks.values()]
        counts = Counter((seen.kind, seen.state) for seen in everyone)
        for labels in self._shown | set(counts):
            self._metrics.set(self._metrics.tasks, counts[labels], *labels)
        for kind in {kind for kind, _ in self._shown | set(counts)}:
            oldest = min((seen.created for seen in everyone if seen.kind == kind), default=now)
            self._metrics.set(self._metrics.task_oldest_pending_seconds, max(0.0, now - oldest), kind)
        self._shown |= set(counts)


def _since(tasks: dict[str, _Seen], horizon: float) -> dict[str, _Seen]:
    return {task_id: seen for task_id, seen in tasks.items() if seen.at > horizon}
