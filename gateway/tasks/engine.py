"""Durable tasks: submitted once, followed by whoever waits, never lost and never doubled."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

import msgspec

from gateway.accounts.account import Account
from gateway.config import TaskSettings
from gateway.generation.errors import (
    AmbiguousSubmit,
    Conflict,
    GatewayError,
    NotFound,
    PollTimeout,
    TaskFailed,
)
from gateway.generation.events import AnyEvent, Finish, Progress, Thread
from gateway.generation.requests import Caller, GenerationRequest
from gateway.generation.views import Page, TaskView
from gateway.plugin_api.protocols import TaskUpstream
from gateway.state.store import Record, StateStore, StoreUnavailable
from gateway.tasks.task import FINAL, State, Task, decode_task
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics

__all__ = ["TABLE", "TaskEngine", "record_of"]

TABLE = "tasks"
_SUBMIT_SECONDS = 300.0
"""After this long, a submit whose process has gone is looked for at the provider."""
_RECHECK_SECONDS = 2.0
"""Waiters re-read their task at least this often: a missed hint costs no more."""
Find = Callable[[str, str], tuple[TaskUpstream, Account] | None]
"""Returns the upstream and the account by their names, None when one is not configured any more."""


class TaskEngine:
    """Makes tasks and shows them; the `Poller` drives them."""

    def __init__(self, store: StateStore, settings: TaskSettings, metrics: Metrics, find: Find) -> None:
        self._store = store
        self._settings = settings
        self._metrics = metrics
        self._find = find
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._submits: set[asyncio.Task[Task]] = set()

    async def submit(
        self,
        request: GenerationRequest,
        caller: Caller,
        upstream: TaskUpstream,
        account: Account,
        *,
        thread: Thread | None,
        chat_id: str,
    ) -> Task:
        """Make a task of a request: intent stored, submitted once, provider's id stored.

        The work goes on when the caller leaves.

        Raises:
            StorageUnavailable: the intent cannot be kept, so nothing was sent.
            AmbiguousSubmit: the answer was lost; the task is being looked for under the id in the error.
            GatewayError: a definite refusal; there is no task.
        """
        now = time.time()
        task = Task(
            id=secrets.token_hex(16),
            owner=caller.owner,
            state=State.RESERVED,
            request=request,
            upstream=account.upstream,
            account=account.id,
            created=now,
            updated=now,
            chat_id=chat_id,
        )
        work = asyncio.get_running_loop().create_task(self._submit(task, upstream, account, thread))
        self._submits.add(work)
        work.add_done_callback(self._submits.discard)
        return await asyncio.shield(work)

    async def get(self, owner: str, task_id: str) -> TaskView:
        """Return the owner's task; another owner's does not exist."""
        task, _ = await self._load(owner, task_id)
        return task.view()

    async def request(self, owner: str, task_id: str) -> GenerationRequest:
        """Return what the owner's task was made from."""
        task, _ = await self._load(owner, task_id)
        return task.request

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
        found: list[TaskView] = []
        while len(found) <= limit:
            records = await self._store.list(TABLE, owner, after=after, limit=100, newest_first=newest_first)
            views = (decode_task(record.value).view() for record in records)
            found += [
                view
                for view in views
                if (not status or view.status == status) and (not chat_type or view.chat_type == chat_type)
            ]
            if len(records) < 100:
                break
            after = records[-1].key
        return Page(tuple(found[:limit]), more=len(found) > limit)

    async def follow(self, task_id: str) -> AsyncGenerator[AnyEvent, None]:
        """Yield what becomes of a task, from now to its end.

        Raises:
            PollTimeout: the wait (poll attempts times interval) ran out; the task goes on.
            TaskFailed: the task failed.
        """
        deadline = time.monotonic() + self._settings.poll_attempts * self._settings.poll_interval_seconds
        shown = -1.0
        changed = asyncio.Event()
        self._waiters.setdefault(task_id, set()).add(changed)
        try:
            while True:
                changed.clear()
                task = await self._read(task_id)
                if task.state in FINAL:
                    break
                if task.progress > shown:
                    shown = task.progress
                    yield Progress(shown, task.view().status)
                await self._wait(changed, deadline, task_id)
        finally:
            self._forget_waiter(task_id, changed)
        for event in _outcome(task):
            yield event

    async def cancel(self, owner: str, task_id: str) -> TaskView:
        """Stop a task.

        Raises:
            Conflict: it is over already, or its provider cannot stop it.
        """
        task, version = await self._load(owner, task_id)
        if task.state in FINAL:
            raise Conflict("the task is over already")
        found = self._find(task.upstream, task.account)
        stopped = False
        if found is not None and task.upstream_task is not None:
            stopped = await found[0].cancel(task.upstream_task, found[1])
        if not stopped:
            raise Conflict("the provider cannot cancel this task; it goes on")
        error = GatewayError("the task was cancelled", code="cancelled")
        cancelled = await self.write(task.fail(error, time.time(), State.CANCELLED), version)
        return cancelled.view()

    async def delete(self, owner: str, task_id: str) -> None:
        """Forget a finished task.

        Raises:
            Conflict: it is not finished.
        """
        task, _ = await self._load(owner, task_id)
        if task.state not in FINAL:
            await self.cancel(owner, task_id)
        await self._store.delete(TABLE, task.id)

    async def write(
        self, task: Task, version: int, *, due: float = 0.0, fence: int | None = None, durable: bool = True
    ) -> Task:
        """Store a task, one version on; a step is durable, mere progress need not be.

        A finished task expires after `ttl_hours`.
        """
        if task.state in FINAL:
            task = msgspec.structs.replace(task, expires=task.finished + self._settings.ttl_hours * 3600)
        await self._store.put(TABLE, record_of(task, version, due), durable=durable, fence=fence)
        if durable:
            self._note(task)
        self.wake(task.id)
        return task

    async def watch(self) -> None:
        """Wake this process's waiters when a task changes in any replica; runs for ever."""
        while True:
            try:
                async with aclosing(self._store.watch(TABLE)) as keys:
                    async for key in keys:
                        self.wake(key)
            except StoreUnavailable:
                await asyncio.sleep(1.0)

    def wake(self, task_id: str) -> None:
        """Let the waiters of a task look again; "" wakes all."""
        waiting = (
            self._waiters.get(task_id, ()) if task_id else [e for s in self._waiters.values() for e in s]
        )
        for changed in waiting:
            changed.set()

    async def drain(self) -> None:
        """Wait for submits under way: their answers must be stored."""
        while self._submits:
            await asyncio.wait(self._submits)

    async def _submit(
        self, task: Task, upstream: TaskUpstream, account: Account, thread: Thread | None
    ) -> Task:
        await self._store.check_durable()
        prepared = await upstream.prepare(task.request, account, thread)
        task = task.step(State.SUBMITTING, time.time(), prepared=prepared)
        await self.write(task, 0, due=time.time() + _SUBMIT_SECONDS)
        try:
            accepted = await upstream.submit(task.request, prepared, account)
        except GatewayError as error:
            raise await self._refused(task, error) from error
        except BaseException as error:
            raise await self._refused(
                task, AmbiguousSubmit("the submit failed in an unexpected way", sent=True)
            ) from error
        now = time.time()
        task = task.step(State.ACCEPTED, now, upstream_task=accepted)
        due = now + self._settings.poll_interval_seconds
        await self.write(task, 1, due=due)
        return task

    async def _refused(self, task: Task, error: GatewayError) -> GatewayError:
        """Undo a submit that was refused, or keep looking for one whose answer was lost."""
        if not error.sent:
            await self._store.delete(TABLE, task.id)
            return error
        await self.write(task.step(State.UNKNOWN, time.time()), 1, due=time.time())
        return AmbiguousSubmit(
            "the provider's answer to the submit was lost; the task is being looked for",
            task_id=task.id,
            sent=True,
        )

    async def _load(self, owner: str, task_id: str) -> tuple[Task, int]:
        record = await self._store.get(TABLE, task_id)
        if record is None or record.owner != owner:
            raise NotFound("Task not found")
        return decode_task(record.value), record.version

    async def _read(self, task_id: str) -> Task:
        record = await self._store.get(TABLE, task_id)
        if record is None:
            raise NotFound("Task not found")
        return decode_task(record.value)

    async def _wait(self, changed: asyncio.Event, deadline: float, task_id: str) -> None:
        left = deadline - time.monotonic()
        if left <= 0:
            raise PollTimeout("Task polling timeout exceeded", task_id=task_id)
        try:
            await asyncio.wait_for(changed.wait(), min(left, _RECHECK_SECONDS))
        except TimeoutError:
            return

    def _forget_waiter(self, task_id: str, changed: asyncio.Event) -> None:
        waiting = self._waiters[task_id]
        waiting.discard(changed)
        if not waiting:
            del self._waiters[task_id]

    def _note(self, task: Task) -> None:
        kind = task.request.chat_type
        self._metrics.count(self._metrics.task_transitions, kind, task.state.value)
        if task.state in FINAL:
            self._metrics.observe(
                self._metrics.task_seconds, task.finished - task.created, kind, task.state.value
            )
        get_logger().info(
            "task",
            task_id=task.id,
            state=task.state.value,
            chat_type=kind,
            account=task.account,
            error_code=task.error_code,
        )


def record_of(task: Task, version: int, due: float) -> Record:
    """Return the task as a record."""
    return Record(
        key=task.id,
        value=msgspec.json.encode(task),
        version=version,
        owner=task.owner,
        order=task.created,
        due=due,
        expires=task.expires,
    )


def _outcome(task: Task) -> list[AnyEvent]:
    if task.state is not State.COMPLETED:
        raise TaskFailed(task.error_message or "the task failed", code=task.error_code, task_id=task.id)
    usage = [task.usage] if task.usage else []
    return [*task.media, *usage, Finish()]
