"""The table of tasks: read by owners, written by whoever moves a task on."""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.config import TaskSettings
from gateway.generation.errors import NotFound
from gateway.generation.views import TaskView
from gateway.state.store import Conflict, Record, StateStore
from gateway.tasks.failpoints import failpoint
from gateway.tasks.task import FINAL, Task, decode_task
from gateway.tasks.waiters import Waiters
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics

__all__ = ["TABLE", "Announce", "StoredTask", "TaskRecords"]

TABLE = "tasks"
Announce = Callable[[Task], Awaitable[None]]
"""Is told of a task's end before the end is stored, so that no end goes untold."""
_PAGE = 100
_BACKSTOP_SECONDS = 86_400.0
"""How long after its time a record goes even if nobody has swept it."""


class StoredTask(msgspec.Struct, frozen=True):
    """A task and the version of its record."""

    task: Task
    version: int


class TaskRecords:
    """Reads and writes tasks; every write wakes the waiters."""

    def __init__(
        self,
        store: StateStore,
        settings: TaskSettings,
        metrics: Metrics,
        waiters: Waiters,
        announce: Announce,
    ) -> None:
        self.store = store
        self._settings = settings
        self._metrics = metrics
        self._waiters = waiters
        self._announce = announce

    def load(self, settings: TaskSettings) -> None:
        """Go by these settings from now on."""
        self._settings = settings

    async def find(self, task_id: str) -> StoredTask | None:
        """Return the task, None when there is none."""
        record = await self.store.get(TABLE, task_id)
        return None if record is None else StoredTask(decode_task(record.value), record.version)

    async def get(self, owner: str, task_id: str) -> StoredTask:
        """Return the owner's task; another owner's is `NotFound`, like one that never was."""
        found = await self.find(task_id)
        if found is None or found.task.owner != owner:
            raise NotFound("Task not found")
        return found

    async def read(self, task_id: str) -> Task:
        """Return the task, whoever owns it; raises `NotFound`."""
        found = await self.find(task_id)
        if found is None:
            raise NotFound("Task not found")
        return found.task

    async def list(
        self,
        owner: str,
        *,
        after: str | None,
        limit: int,
        newest_first: bool,
        fits: Callable[[TaskView], bool],
    ) -> Sequence[TaskView]:
        """Return up to `limit` of the owner's tasks that fit."""
        found: list[TaskView] = []
        while len(found) < limit:
            page = await self.store.list(TABLE, owner, after=after, limit=_PAGE, newest_first=newest_first)
            found += filter(fits, (decode_task(record.value).view() for record in page))
            if len(page) < _PAGE:
                break
            after = page[-1].key
        return found[:limit]

    async def put(
        self, task: Task, version: int, *, due: float, fence: int | None = None, durable: bool = True
    ) -> None:
        """Write a task over `version`; a finished one is due again when its time is over, to be swept.

        Raises:
            Conflict: somebody else has moved it on.
        """
        if task.state in FINAL:
            task = msgspec.structs.replace(task, expires=task.finished + self._settings.ttl_hours * 3600)
            due = task.expires
            await self._announce(task)
            failpoint("announced")
        await self.store.put(TABLE, _record_of(task, version, due), durable=durable, fence=fence)
        self._waiters.wake(task.id)

    async def change(self, task_id: str, step: Callable[[Task], Task], *, due: float = 0.0) -> Task:
        """Take a task one step on, whatever others do to it meanwhile; returns it.

        Raises:
            NotFound: there is no such task.
        """
        while True:
            found = await self.find(task_id)
            if found is None:
                raise NotFound("Task not found")
            moved = step(found.task)
            if moved is found.task:
                return moved
            try:
                await self.put(moved, found.version, due=due)
            except Conflict:
                continue
            self.note(moved)
            return moved

    async def delete(self, task_id: str) -> None:
        """Forget a task."""
        await self.store.delete(TABLE, task_id)
        self._waiters.wake(task_id)

    def note(self, task: Task) -> None:
        """Count and log a step."""
        kind, state = task.request.chat_type, task.state.value
        self._metrics.count(self._metrics.task_transitions, kind, state)
        if task.state in FINAL:
            self._metrics.observe(self._metrics.task_seconds, task.finished - task.created, kind, state)
        get_logger().info(
            "task",
            task_id=task.id,
            state=state,
            chat_type=kind,
            account=task.account,
            error_code=task.error_code,
        )


def _record_of(task: Task, version: int, due: float) -> Record:
    return Record(
        key=task.id,
        value=msgspec.json.encode(task),
        version=version,
        owner=task.owner,
        order=task.created,
        due=due,
        expires=task.expires + _BACKSTOP_SECONDS if task.expires else 0.0,
    )
