"""Drives every task to its end: one poller per task over all replicas, within each account's budget."""

import asyncio
import time
from collections.abc import Sequence

from gateway.accounts.account import Account
from gateway.config import TaskSettings
from gateway.generation.errors import AmbiguousSubmit, GatewayError, TaskFailed
from gateway.plugin_api.protocols import TaskUpstream
from gateway.state.store import Claim, Conflict, LeaseStore, Record, StateStore, StoreUnavailable
from gateway.tasks.census import Census
from gateway.tasks.clock import SetClock
from gateway.tasks.engine import Find
from gateway.tasks.failpoints import failpoint
from gateway.tasks.grip import HOLD_SECONDS, Grip
from gateway.tasks.keeping import Keeper
from gateway.tasks.look import Look
from gateway.tasks.pace import Lane
from gateway.tasks.records import TABLE, TaskRecords
from gateway.tasks.task import FINAL, State, Task, decode_task
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics

__all__ = ["Poller"]

_LOOK_SECONDS = 0.25
_BATCH = 200
_PUBLISH_SECONDS = 5.0


class Poller:
    """The background half of the task engine: claims what is due, looks at it, gives it back."""

    def __init__(
        self,
        store: StateStore,
        leases: LeaseStore,
        records: TaskRecords,
        keeper: Keeper,
        settings: TaskSettings,
        metrics: Metrics,
        find: Find,
    ) -> None:
        self._store = store
        self._leases = leases
        self._records = records
        self._keeper = keeper
        self._settings = settings
        self._metrics = metrics
        self._find = find
        self._look = Look(keeper, settings)
        self._census = Census(metrics)
        self._lanes: dict[tuple[str, str], Lane] = {}
        self._working: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Claim and serve due tasks; runs for ever."""
        published = 0.0
        while True:
            asked = time.monotonic()
            claims = await self._claim()
            for claim in claims:
                clock = SetClock(claim.until - HOLD_SECONDS, asked)
                work = asyncio.get_running_loop().create_task(self._serve(claim, clock))
                self._working.add(work)
                work.add_done_callback(self._working.discard)
            if time.monotonic() - published > _PUBLISH_SECONDS:
                published = time.monotonic()
                self._census.publish(time.time())
            await asyncio.sleep(0 if len(claims) == _BATCH else _LOOK_SECONDS)

    async def aclose(self) -> None:
        """Stop what is under way; the claims end by time and others go on."""
        for work in self._working:
            work.cancel()
        await asyncio.gather(*self._working, return_exceptions=True)

    async def _claim(self) -> Sequence[Claim]:
        try:
            return await self._store.claim_due(TABLE, limit=_BATCH, lease_seconds=HOLD_SECONDS)
        except StoreUnavailable:
            get_logger().warning("task_store_unavailable")
            return ()

    async def _serve(self, claim: Claim, clock: SetClock) -> None:
        try:
            task = decode_task(claim.record.value)
            if task.state in FINAL:
                await self._sweep(task)
            else:
                await self._advance(claim, task, clock)
        except Conflict:
            self._metrics.count(self._metrics.task_lease_losses, task.request.chat_type)
        except StoreUnavailable:
            # Nothing is lost: the claim ends by time, and the task is due again.
            get_logger().warning("task_store_unavailable", task_id=claim.record.key)
        except Exception:  # noqa: BLE001 - one task's fault must not stop the others'
            get_logger().exception("task_crashed", task_id=claim.record.key)

    async def _sweep(self, task: Task) -> None:
        """Remove a task whose time is over, and what it made."""
        await self._keeper.discard(task.media)
        await self._records.delete(task.id)

    async def _advance(self, claim: Claim, task: Task, clock: SetClock) -> None:
        self._census.note(task)
        found = None if task.streamed else self._find(task.upstream, task.account)
        grip = Grip(self._records, task, claim.record.version, clock, fence=claim.fence)
        async with grip.kept():
            is_ours, room = await self._wait_turn(claim.record, task, clock) if found else (True, 0.0)
            moved, wait = await self._seen(task, found, clock) if is_ours else (task, 0.0)
        failpoint("polled")
        self._census.note(moved)
        if moved is not task:
            await grip.write(moved, durable=moved.state is not task.state)
        if moved.state in FINAL:
            failpoint("stored_end")
            return
        await self._store.release(TABLE, task.id, claim.fence, due=max(clock.now() + wait, room))

    async def _wait_turn(self, record: Record, task: Task, clock: SetClock) -> tuple[bool, float]:
        """Return whether the task's account may be asked now, and when there is room for the next look."""
        is_new = task.polls == 0 and record.due <= task.updated + self._settings.poll_interval_seconds
        is_ours, room = await self._lane(task).wait_turn(clock, is_new=is_new)
        if is_ours:
            late = max(0.0, clock.now() - record.due)
            self._metrics.observe(self._metrics.poll_lag_seconds, late, task.request.chat_type)
        return is_ours, room

    async def _seen(
        self, task: Task, found: tuple[TaskUpstream, Account] | None, clock: SetClock
    ) -> tuple[Task, float]:
        """Return the task after one look at its provider, and the seconds until the next."""
        if task.streamed:
            return task.fail(AmbiguousSubmit("the process that made it has ended"), clock.now()), 0.0
        moved, wait = task, self._look.nobody_wait
        if found is not None:
            try:
                moved, wait = await self._look.at(task, *found, clock)
            except GatewayError as error:
                # A failed poll is not a failed task.
                get_logger().warning(
                    "poll_failed", task_id=task.id, account=task.account, error_code=error.code
                )
                wait = self._look.patience(error)
            except Exception:  # noqa: BLE001 - a plugin's fault is a failed poll too
                get_logger().exception("poll_crashed", task_id=task.id)
        if moved.state not in FINAL and self._is_too_old(task, clock):
            expired = TaskFailed("the task never ended", code="expired")
            return moved.fail(expired, clock.now(), State.EXPIRED), 0.0
        return moved, wait

    def _is_too_old(self, task: Task, clock: SetClock) -> bool:
        return clock.now() - task.created > self._settings.max_age_hours * 3600

    def _lane(self, task: Task) -> Lane:
        name = (task.upstream, task.account)
        if name not in self._lanes:
            self._lanes[name] = Lane("/".join(name), self._settings.polls_per_second, self._leases)
        return self._lanes[name]
