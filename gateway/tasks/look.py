"""One look at a task through its provider's eyes, and what follows from it."""

import asyncio

import msgspec

from gateway.accounts.account import Account
from gateway.config import TaskSettings
from gateway.generation.errors import AmbiguousSubmit, GatewayError, TaskFailed, UpstreamTimeout
from gateway.plugin_api.protocols import TaskState, TaskUpstream, UpstreamTask
from gateway.tasks.clock import SetClock
from gateway.tasks.keeping import Keeper
from gateway.tasks.pace import Pace
from gateway.tasks.task import State, Task

__all__ = ["Look"]

_POLL_SECONDS = 30.0
_RECONCILE_SECONDS = 600.0
_RECONCILE_LOOKS = 3
"""So many looks in vain are needed too, whatever a clock says that jumped."""
_RECONCILE_INTERVALS = 5.0
_NOBODY_INTERVALS = 15.0
_MISSES_FORGIVEN = 3


class Look:
    """Asks providers about tasks; every answer is the task moved on and the seconds until the next look."""

    def __init__(self, keeper: Keeper, settings: TaskSettings) -> None:
        self._keeper = keeper
        self._interval = settings.poll_interval_seconds
        self._paces: dict[tuple[str, str], Pace] = {}

    @property
    def nobody_wait(self) -> float:
        """How long a task waits whose account cannot be asked now."""
        return self._interval * _NOBODY_INTERVALS

    async def at(
        self, task: Task, upstream: TaskUpstream, account: Account, clock: SetClock
    ) -> tuple[Task, float]:
        """Poll a task, or look for one whose submit was not answered.

        Raises:
            GatewayError: nothing was learned.
        """
        try:
            async with asyncio.timeout(_POLL_SECONDS):
                if task.upstream_task is None:
                    found = await upstream.reconcile(task.prepared, account)
                    return self._search(task, found, clock.now())
                state = await upstream.poll(task.upstream_task, account)
        except TimeoutError:
            raise UpstreamTimeout("the provider does not tell how the task is") from None
        return await self._judge(task, state, clock)

    def patience(self, error: GatewayError) -> float:
        """Return how long to leave a task alone after a failed poll."""
        least = self.nobody_wait if error.status == 503 else self._interval
        return max(error.retry_after or 0.0, least)

    def _search(self, task: Task, found: UpstreamTask | None, now: float) -> tuple[Task, float]:
        if found is not None:
            return task.step(State.ACCEPTED, now, upstream_task=found, misses=0), self._interval
        misses = task.misses + 1
        if now - task.created > _RECONCILE_SECONDS and misses >= _RECONCILE_LOOKS:
            return task.fail(AmbiguousSubmit("the provider shows no trace of the submit"), now), 0.0
        return task.step(State.UNKNOWN, now, misses=misses), self._interval * _RECONCILE_INTERVALS

    async def _judge(self, task: Task, state: TaskState, clock: SetClock) -> tuple[Task, float]:
        now = clock.now()
        match state.status:
            case "completed":
                return await self._complete(task, state, clock)
            case "failed":
                message = state.error_message or "the provider gave the task up"
                return task.fail(TaskFailed(message, code=state.error_code or None), now), 0.0
            case "missing" if task.misses >= _MISSES_FORGIVEN:
                error = TaskFailed("the provider does not know the task", code="task_missing")
                return task.fail(error, now), 0.0
        pace, elapsed = self._pace(task), now - task.created
        moved = task.step(
            State.ACCEPTED,
            now,
            polls=task.polls + 1,
            misses=task.misses + 1 if state.status == "missing" else 0,
            progress=pace.progress(elapsed) if state.progress is None else min(state.progress, 1.0),
        )
        return moved, pace.next_wait(elapsed)

    async def _complete(self, task: Task, state: TaskState, clock: SetClock) -> tuple[Task, float]:
        media = await self._keeper.keep(state.media, task.archivings)
        now = clock.now()
        if media is None:
            tries = task.archivings + 1
            return msgspec.structs.replace(task, updated=now, archivings=tries), self._interval * tries
        self._pace(task).learn(now - task.created)
        ended = task.step(
            State.COMPLETED, now, finished=now, polls=task.polls + 1, media=media, usage=state.usage
        )
        return ended, 0.0

    def _pace(self, task: Task) -> Pace:
        kind = (task.upstream, task.request.chat_type)
        return self._paces.setdefault(kind, Pace(self._interval))
