"""A task in our hands: nobody else moves it on while we keep it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec

from gateway.state.store import Conflict, StoreUnavailable
from gateway.tasks.clock import SetClock
from gateway.tasks.records import TaskRecords
from gateway.tasks.task import Task

__all__ = ["HOLD_SECONDS", "Grip"]

HOLD_SECONDS = 6.0
"""A task whose keeper is silent for so long is taken over."""
_BEATS = 3


class Grip:
    """One task's record, its version and its claim, kept by moving its due time on.

    A write that may or may not have been made (the store did not answer, the caller was cancelled) is
    looked up before the next one.

    Args:
        records: where the task is.
        task: as it was read, or is about to be created with `version` 0.
        version: of its record.
        clock: the store's.
        fence: of the claim that the task came with.
    """

    def __init__(
        self, records: TaskRecords, task: Task, version: int, clock: SetClock, *, fence: int | None = None
    ) -> None:
        self.task = task
        self._records = records
        self._version = version
        self._clock = clock
        self._fence = fence
        self._doubted: Task | None = None
        self._writing = asyncio.Lock()

    async def write(self, task: Task, *, due: float | None = None, durable: bool = True) -> None:
        """Store the task; without `due` it stays in our hands.

        Raises:
            Conflict: somebody else has moved it on.
            StoreUnavailable: it may have been stored or not.
        """
        stepped = task.state is not self.task.state or self._version == 0
        async with self._writing:
            await self._clear_doubt()
            await self._put(task, due, durable)
        if stepped:
            self._records.note(task)

    def now(self) -> float:
        """Return unix seconds by the store's clock."""
        return self._clock.now()

    def note_progress(self, fraction: float) -> None:
        """Remember how far the task is; stored with the next sign of life."""
        self.task = msgspec.structs.replace(self.task, progress=max(self.task.progress, fraction))

    @asynccontextmanager
    async def kept(self, lost: Callable[[], object] = lambda: None) -> AsyncIterator[None]:
        """Keep the task while the block runs; `lost` is called once somebody else has it."""
        beat = asyncio.get_running_loop().create_task(self._beat(lost))
        try:
            yield
        finally:
            beat.cancel()
            await asyncio.gather(beat, return_exceptions=True)

    async def _beat(self, lost: Callable[[], object]) -> None:
        while True:
            await asyncio.sleep(HOLD_SECONDS / _BEATS)
            if self._writing.locked():  # a sign of life itself; behind it, ours would take its step back
                continue
            try:
                await self.write(self.task, durable=False)
            except Conflict:
                lost()
                return
            except StoreUnavailable:
                continue

    async def _put(self, task: Task, due: float | None, durable: bool) -> None:
        if due is None:
            due = self._clock.now() + HOLD_SECONDS
        self._doubted = task
        try:
            await self._records.put(task, self._version, due=due, fence=self._fence, durable=durable)
        except Conflict:
            self._doubted = None
            raise
        self._written(task)

    async def _clear_doubt(self) -> None:
        """Find out whether the last write was made."""
        if self._doubted is None:
            return
        stored = await self._records.find(self.task.id)
        version = stored.version if stored else 0
        if stored is not None and version == self._version + 1 and _same(stored.task, self._doubted):
            self._written(self._doubted)
        elif version == self._version:
            self._doubted = None
        else:
            raise Conflict(f"task {self.task.id} was moved on by somebody else")

    def _written(self, task: Task) -> None:
        self.task, self._doubted = task, None
        self._version += 1


def _same(stored: Task, written: Task) -> bool:
    """Compare but for the expiry, which the write itself sets."""
    ours = msgspec.structs.replace(written, expires=stored.expires)
    return msgspec.json.encode(stored) == msgspec.json.encode(ours)
