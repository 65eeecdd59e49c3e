"""Drives every task to its end: one poller per task over all replicas, within each account's budget."""

import asyncio
import time
from collections.abc import Callable

from gateway.accounts.account import Account
from gateway.config import TaskSettings
from gateway.generation.errors import AmbiguousSubmit, GatewayError, TaskFailed
from gateway.media.archive import Archive
from gateway.plugin_api.protocols import TaskState, TaskUpstream
from gateway.state.store import Claim, Conflict, StateStore, StoreUnavailable
from gateway.tasks.engine import TABLE, Find, TaskEngine
from gateway.tasks.pace import Budget, Pace
from gateway.tasks.task import FINAL, State, Task, decode_task
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics

__all__ = ["Poller"]

_LEASE_SECONDS = 60.0
_LOOK_SECONDS = 0.25
_BATCH = 200
_RECONCILE_SECONDS = 600.0
_RECONCILE_WAIT = 15.0
_NOBODY_WAIT = 30.0
_MISSES_FORGIVEN = 3


class Poller:
    """The background half of the task engine."""

    def __init__(
        self,
        engine: TaskEngine,
        store: StateStore,
        archive: Archive,
        settings: TaskSettings,
        metrics: Metrics,
        find: Find,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._engine = engine
        self._store = store
        self._archive = archive
        self._settings = settings
        self._metrics = metrics
        self._find = find
        self._clock = clock
        self._budgets: dict[tuple[str, str], Budget] = {}
        self._paces: dict[tuple[str, str], Pace] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Claim and serve due tasks; runs for ever."""
        while True:
            try:
                claims = await self._store.claim_due(TABLE, limit=_BATCH, lease_seconds=_LEASE_SECONDS)
            except StoreUnavailable:
                get_logger().warning("task_store_unavailable")
                claims = ()
            for claim in claims:
                work = asyncio.get_running_loop().create_task(self._serve(claim))
                self._working.add(work)
                work.add_done_callback(self._working.discard)
            await asyncio.sleep(0 if len(claims) == _BATCH else _LOOK_SECONDS)

    async def aclose(self) -> None:
        """Stop what is under way; the claims end by time and others go on."""
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _serve(self, claim: Claim) -> None:
        task = decode_task(claim.record.value)
        try:
            moved, wait = await self._advance(task)
        except GatewayError as error:
            # A failed poll is not a failed task.
            get_logger().warning("poll_failed", task_id=task.id, account=task.account, error_code=error.code)
            moved, wait = task, self._patience(error)
        except Exception:  # noqa: BLE001 - one plugin's fault must not stop the others' tasks
            get_logger().exception("poll_crashed", task_id=task.id)
            moved, wait = task, _NOBODY_WAIT
        try:
            due = 0.0 if moved.state in FINAL else self._clock() + wait
            if moved is not task:
                await self._engine.write(
                    moved, claim.record.version, fence=claim.fence, durable=moved.state is not task.state
                )
            await self._store.release(TABLE, task.id, claim.fence, due=due)
        except (Conflict, StoreUnavailable):
            # Somebody else has moved it on, or nothing was written: the claim ends by time.
            return

    async def _advance(self, task: Task) -> tuple[Task, float]:
        """Return the task after one look at its provider, and the seconds until the next."""
        now = self._clock()
        if now - task.created > self._settings.max_age_hours * 3600:
            return task.fail(TaskFailed("the task never ended", code="expired"), now, State.EXPIRED), 0.0
        found = self._find(task.upstream, task.account)
        if found is None:
            return task, _NOBODY_WAIT
        upstream, account = found
        await asyncio.sleep(self._budget(task).reserve(time.monotonic()))
        if task.upstream_task is None:
            return await self._look_for(task, upstream, account)
        state = await upstream.poll(task.upstream_task, account)
        return await self._take(task, state)

    async def _look_for(self, task: Task, upstream: TaskUpstream, account: Account) -> tuple[Task, float]:
        """Ask whether a submit whose answer was lost was accepted."""
        found = await upstream.reconcile(task.prepared, account)
        now = self._clock()
        if found is not None:
            return task.step(State.ACCEPTED, now, upstream_task=found), self._settings.poll_interval_seconds
        if now - task.created > _RECONCILE_SECONDS:
            return task.fail(AmbiguousSubmit("the provider shows no trace of the submit"), now), 0.0
        return task.step(State.UNKNOWN, now), _RECONCILE_WAIT

    async def _take(self, task: Task, state: TaskState) -> tuple[Task, float]:
        now = self._clock()
        elapsed = now - task.created
        pace = self._pace(task)
        match state.status:
            case "completed":
                media = tuple([await self._archive.keep(medium) for medium in state.media])
                pace.learn(elapsed)
                return task.step(State.COMPLETED, now, finished=now, media=media, usage=state.usage), 0.0
            case "failed":
                error = TaskFailed(
                    state.error_message or "the provider gave the task up", code=state.error_code or None
                )
                return task.fail(error, now), 0.0
            case "missing" if task.misses >= _MISSES_FORGIVEN:
                return task.fail(
                    TaskFailed("the provider does not know the task", code="task_missing"), now
                ), 0.0
        misses = task.misses + 1 if state.status == "missing" else 0
        progress = pace.progress(elapsed) if state.progress is None else state.progress
        moved = task.step(State.ACCEPTED, now, polls=task.polls + 1, misses=misses, progress=progress)
        return moved, pace.next_wait(elapsed)

    def _patience(self, error: GatewayError) -> float:
        """Return how long to leave a task alone after a failed poll."""
        return max(
            error.retry_after or 0.0,
            _NOBODY_WAIT if error.status == 503 else self._settings.poll_interval_seconds,
        )

    def _budget(self, task: Task) -> Budget:
        return self._budgets.setdefault(
            (task.upstream, task.account), Budget(self._settings.polls_per_second)
        )

    def _pace(self, task: Task) -> Pace:
        key = (task.upstream, task.request.chat_type)
        return self._paces.setdefault(key, Pace(self._settings.poll_interval_seconds))
