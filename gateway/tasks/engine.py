"""Durable tasks: submitted once, followed by whoever waits, never lost and never doubled."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

from gateway.accounts.account import Account
from gateway.config import TaskSettings
from gateway.generation.errors import Conflict, GatewayError, PollTimeout, TaskFailed
from gateway.generation.events import AnyEvent, Finish, Progress, TextDelta
from gateway.generation.requests import GenerationRequest
from gateway.generation.views import Page, TaskView
from gateway.plugin_api.protocols import TaskUpstream
from gateway.state.store import StateStore, StoreUnavailable
from gateway.tasks.drive import Drive
from gateway.tasks.keeping import Keeper
from gateway.tasks.records import TABLE, TaskRecords
from gateway.tasks.submission import Order, Submission
from gateway.tasks.task import FINAL, State, Task
from gateway.tasks.waiters import Waiters
from gateway.telemetry.logging import get_logger

__all__ = ["Find", "TaskEngine"]

_DRAIN_SECONDS = 30.0
T = TypeVar("T")
Find = Callable[[str, str], tuple[TaskUpstream, Account] | None]
"""Returns the upstream and the account by their names, None when one is not configured any more."""


class TaskEngine:
    """Makes tasks and shows them; the `Poller` drives those that a provider keeps."""

    def __init__(
        self,
        store: StateStore,
        records: TaskRecords,
        waiters: Waiters,
        keeper: Keeper,
        settings: TaskSettings,
        find: Find,
    ) -> None:
        self._store = store
        self._records = records
        self._waiters = waiters
        self._keeper = keeper
        self._settings = settings
        self._find = find
        self._submits: set[asyncio.Task[Any]] = set()
        self._drives: set[asyncio.Task[Any]] = set()

    def load(self, settings: TaskSettings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    async def submit(self, order: Order, upstream: TaskUpstream, lease: AsyncExitStack) -> Task:
        """Make a task of an order: intent stored, submitted once, provider's id stored.

        The work goes on when the caller leaves; `lease` is left as soon as the provider has answered.

        Raises:
            StorageUnavailable: the intent cannot be kept, so nothing was sent.
            AmbiguousSubmit: nobody knows what became of the submit; it is looked for under the error's id.
            GatewayError: a definite refusal; there is no task.
            store.Conflict: there is a task of this id already.
        """
        submission = Submission(self._records, order, upstream, self._settings.poll_interval_seconds)
        return await asyncio.shield(_beside(self._submits, submission.run(lease)))

    async def drive(
        self, order: Order, events: AsyncGenerator[AnyEvent, None], lease: AsyncExitStack
    ) -> Task:
        """Make a task of a generation that no provider keeps as one; it holds its lease to the end.

        Raises as `submit` does, and what the generation raises before it has begun.
        """
        drive = Drive(self._records, self._keeper, order)
        return await drive.accepted(_beside(self._drives, drive.run(events, lease)))

    async def find_state(self, task_id: str) -> State | None:
        """Return where a task is, whoever owns it; one that is not there was never submitted."""
        found = await self._records.find(task_id)
        return None if found is None else found.task.state

    async def get(self, owner: str, task_id: str) -> TaskView:
        """Return the owner's task; another owner's does not exist."""
        return (await self._records.get(owner, task_id)).task.view()

    async def request(self, owner: str, task_id: str) -> GenerationRequest:
        """Return what the owner's task was made from."""
        return (await self._records.get(owner, task_id)).task.request

    async def list(
        self,
        owner: str,
        *,
        after: str | None,
        limit: int,
        newest_first: bool,
        status: str = "",
        chat_type: str = "",
    ) -> Page[TaskView]:
        """Return a page of the owner's tasks, filtered by public status and chat type."""

        def fits(view: TaskView) -> bool:
            return status in ("", view.status) and chat_type in ("", view.chat_type)

        found = await self._records.list(
            owner, after=after, limit=limit + 1, newest_first=newest_first, fits=fits
        )
        return Page(tuple(found[:limit]), more=len(found) > limit)

    async def follow(self, task_id: str) -> AsyncGenerator[AnyEvent, None]:
        """Yield what becomes of a task, from now to its end; a store that is away only delays it.

        Raises:
            NotFound: there is no such task (any more).
            PollTimeout: the wait (poll attempts times interval) ran out; the task goes on.
            TaskFailed: the task failed.
        """
        deadline = time.monotonic() + self._settings.poll_attempts * self._settings.poll_interval_seconds
        shown = -1.0
        with self._waiters.waiting(task_id) as waiter:
            while True:
                task = await self._look(task_id)
                if task is not None and task.state in FINAL:
                    break
                if task is not None and task.progress > shown:
                    shown = task.progress
                    yield Progress(shown, task.view().status)
                del task  # thousands may wait
                await waiter.wait(_left(deadline, task_id))
        for event in _outcome(task):
            yield event

    async def cancel(self, owner: str, task_id: str) -> TaskView:
        """Stop a task.

        Raises:
            Conflict: it is over already, or its provider cannot stop it.
        """
        task = (await self._records.get(owner, task_id)).task
        if task.state not in FINAL and not await self._stop(task):
            raise Conflict("the provider cannot cancel this task; it goes on")
        return (await self._records.change(task_id, _cancelled)).view()

    async def delete(self, owner: str, task_id: str) -> None:
        """Forget a task and what it made; an unfinished one is cancelled first.

        Raises:
            Conflict: its provider cannot stop it.
        """
        task = (await self._records.get(owner, task_id)).task
        if task.state not in FINAL:
            await self.cancel(owner, task_id)
        await self._keeper.discard(task.media)
        await self._records.delete(task_id)

    async def watch(self) -> None:
        """Wake this process's waiters when a task changes in any replica; runs for ever."""
        while True:
            try:
                async with aclosing(self._store.watch(TABLE)) as keys:
                    async for key in keys:
                        self._waiters.wake(key)
            except StoreUnavailable:
                await asyncio.sleep(1.0)

    async def drain(self) -> None:
        """Wait for submits under way, whose answers must be stored, and a while for what we drive."""
        while self._submits:
            await asyncio.wait(self._submits)
        if self._drives:
            await asyncio.wait(self._drives, timeout=_DRAIN_SECONDS)
        for driving in self._drives:
            driving.cancel()
        await asyncio.gather(*self._drives, return_exceptions=True)

    async def _stop(self, task: Task) -> bool:
        """Ask whoever makes the task to stop; what we drive ourselves stops when its record says so."""
        if task.streamed:
            return True
        found = self._find(task.upstream, task.account)
        if found is None or task.upstream_task is None:
            return False
        upstream, account = found
        return await upstream.cancel(task.upstream_task, account)

    async def _look(self, task_id: str) -> Task | None:
        """Return the task, None while the store is away."""
        try:
            return await self._records.read(task_id)
        except StoreUnavailable:
            return None


def _left(deadline: float, task_id: str) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise PollTimeout("Task polling timeout exceeded", task_id=task_id)
    return left


def _cancelled(task: Task) -> Task:
    if task.state in FINAL:
        raise Conflict("the task is over already")
    return task.fail(GatewayError("the task was cancelled", code="cancelled"), time.time(), State.CANCELLED)


def _outcome(task: Task) -> list[AnyEvent]:
    if task.state is not State.COMPLETED:
        raise TaskFailed(task.error_message or "the task failed", code=task.error_code, task_id=task.id)
    said = [TextDelta(task.text)] if task.text else []
    usage = [task.usage] if task.usage else []
    return [*said, *task.media, *usage, Finish()]


def _beside(working: set[asyncio.Task[Any]], work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run work that outlives its caller; how it ends is heard even if nobody waits any more."""
    task = asyncio.get_running_loop().create_task(work)
    working.add(task)

    def done(ended: asyncio.Task[T]) -> None:
        working.discard(task)
        if not ended.cancelled() and not isinstance(ended.exception(), GatewayError | None):
            get_logger().error("task_work_crashed", exc_info=ended.exception())

    task.add_done_callback(done)
    return task
