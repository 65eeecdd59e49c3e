"""A generation that no provider keeps as a task, made into one: this process drives it to its end."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, aclosing

from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Media, Progress, Thread
from gateway.generation.results import Sum
from gateway.plugin_api.protocols import Prepared
from gateway.state.store import Conflict, StoreUnavailable
from gateway.tasks.clock import SetClock
from gateway.tasks.failpoints import failpoint
from gateway.tasks.grip import Grip
from gateway.tasks.keeping import Keeper
from gateway.tasks.records import TaskRecords
from gateway.tasks.submission import Order, intend
from gateway.tasks.task import State, Task
from gateway.telemetry.logging import get_logger

__all__ = ["Drive"]

_BEGIN_SECONDS = 5.0
"""How long a caller waits for the first sign of work, so that a refusal can still fail over."""
_KEEP_PAUSE = 5.0


class Drive:
    """Drives one generation; `run` is called once, in a task of its own that no client can cancel.

    While it goes on, the record is kept in this process's hands. When the process dies the poller takes the
    record over and, as no provider can tell what became of it, ends it as `create_ambiguous`.
    """

    def __init__(self, records: TaskRecords, keeper: Keeper, order: Order) -> None:
        self._records = records
        self._keeper = keeper
        self._order = order
        self._grip: Grip | None = None
        self._sum = Sum()
        self._media: list[Media] = []
        self._thread = order.thread
        self._begun = asyncio.Event()
        self._accepted = self._ended = False

    async def accepted(self, work: asyncio.Task[None]) -> Task:
        """Return the task once it is known to go well, or has not failed for a while.

        Raises:
            GatewayError: it failed before; there is no task.
        """
        begun = asyncio.ensure_future(self._begun.wait())
        try:
            await asyncio.wait({work, begun}, timeout=_BEGIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            begun.cancel()
        if self._ended or self._grip is None:
            await asyncio.shield(work)
        assert self._grip is not None
        self._accepted = True
        if not self._ended:
            await self._step(self._grip.task.step(State.ACCEPTED, self._grip.now()))
            failpoint("drive_accepted")
        return self._grip.task

    async def run(self, events: AsyncGenerator[AnyEvent, None], lease: AsyncExitStack) -> None:
        """Store the intent, take every event in, store the end; raises what the generation raised."""
        store = self._records.store
        async with AsyncExitStack() as kept:
            try:
                async with lease, aclosing(events):
                    await store.check_durable()
                    prepared = Prepared(thread=self._order.thread)
                    clock = SetClock(await store.now())
                    self._grip = await intend(self._records, self._order, prepared, clock, streamed=True)
                    failpoint("drive_intended")
                    await kept.enter_async_context(self._grip.kept(_stopper()))
                    async for event in events:
                        self._take(event, self._grip)
            except GatewayError as error:
                await self._fail(error)
                raise
            failpoint("drive_ended")
            await self._complete(self._grip)

    def _take(self, event: AnyEvent, grip: Grip) -> None:
        """Note an event; what it changes is stored with the next sign of life."""
        self._sum.add(event)
        if type(event) is Media:
            self._media.append(event)
        if type(event) is Progress:
            grip.note_progress(event.fraction)
        if type(event) is Thread:
            self._thread = event
        else:
            self._begun.set()

    async def _complete(self, grip: Grip) -> None:
        result = self._sum.result()
        media = await self._keeper.keep_patiently(self._media, _KEEP_PAUSE)
        self._ended = True
        now = grip.now()
        ended = grip.task.step(
            State.COMPLETED,
            now,
            finished=now,
            media=media,
            usage=result.usage,
            text=result.choices[0].text if result.choices else "",
            prepared=Prepared(thread=self._thread),
        )
        await self._step(ended)

    async def _fail(self, error: GatewayError) -> None:
        """End a task that its owner knows; forget one that nobody has heard of."""
        self._ended = True
        if self._grip is None:
            return
        if self._accepted:
            await self._step(self._grip.task.fail(error, self._grip.now()))
        else:
            await self._records.delete(self._order.id)

    async def _step(self, task: Task) -> None:
        """Store a step, however long the store is away; somebody else's word goes before ours."""
        assert self._grip is not None
        while True:
            try:
                await self._grip.write(task)
            except Conflict:
                get_logger().info("task_taken_over", task_id=task.id)
            except StoreUnavailable:
                await asyncio.sleep(1.0)
                continue
            return


def _stopper() -> Callable[[], object]:
    """Return what ends the running task."""
    current = asyncio.current_task()
    assert current is not None
    return current.cancel
