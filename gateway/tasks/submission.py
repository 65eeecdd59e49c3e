"""The one paid call of a task: intent, submit, acceptance, each durable before the next."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any

import msgspec

from gateway.accounts.account import Account
from gateway.generation.errors import AmbiguousSubmit, GatewayError, TaskIdMissing
from gateway.generation.errors import Conflict as TaskExists
from gateway.generation.events import Thread
from gateway.generation.requests import GenerationRequest
from gateway.generation.turns import Turn
from gateway.plugin_api.protocols import Prepared, TaskUpstream, UpstreamTask
from gateway.state.store import Conflict, StoreUnavailable
from gateway.tasks.clock import SetClock
from gateway.tasks.failpoints import failpoint
from gateway.tasks.grip import Grip
from gateway.tasks.records import TaskRecords
from gateway.tasks.task import FINAL, State, Task
from gateway.telemetry.logging import get_logger

__all__ = ["Order", "Submission", "intend"]

_LOST = "the provider's answer to the submit was lost"
_UNSTORED = "the submit was accepted, which cannot be stored now"
_STORE_TRIES = 600


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What a task is made of. `id` is ours and new; `account` alone will be asked.

    `chat_id` is the conversation that it belongs to, "" for none, and `turn` what it begins there.
    """

    id: str
    owner: str
    request: GenerationRequest
    account: Account
    thread: Thread | None = None
    chat_id: str = ""
    turn: Turn = Turn()


async def intend(
    records: TaskRecords, order: Order, prepared: Prepared, clock: SetClock, *, streamed: bool = False
) -> Grip:
    """Store that a task is about to be submitted, and return it in our hands.

    Raises:
        Conflict: there is a task of this id already; nothing may be submitted under it again.
        StoreUnavailable: the intent cannot be kept.
    """
    now = clock.now()
    task = Task(
        id=order.id,
        owner=order.owner,
        state=State.SUBMITTING,
        request=order.request,
        upstream=order.account.upstream,
        account=order.account.id,
        created=now,
        updated=now,
        chat_id=order.chat_id,
        turn=order.turn,
        prepared=prepared,
        streamed=streamed,
    )
    grip = Grip(records, task, 0, clock)
    try:
        await grip.write(task)
    except Conflict:
        raise TaskExists("there is such a task already", code="task_exists", task_id=order.id) from None
    return grip


class Submission:
    """Submits one order; `run` is called once, in a task of its own that no client can cancel."""

    def __init__(
        self, records: TaskRecords, order: Order, upstream: TaskUpstream, poll_interval: float
    ) -> None:
        self._records = records
        self._order = order
        self._upstream = upstream
        self._poll_interval = poll_interval

    async def run(self, lease: AsyncExitStack) -> Task:
        """Return the accepted task; `lease` is left when the provider has answered.

        Raises:
            StorageUnavailable: the intent cannot be kept, so nothing was sent.
            AmbiguousSubmit, TaskIdMissing: nobody knows what became of the submit; it is looked for.
            GatewayError: a definite refusal; there is no task.
        """
        async with AsyncExitStack() as kept:
            async with lease:
                grip = await self._intend()
                await kept.enter_async_context(grip.kept())
                failpoint("intent_stored")
                accepted = await self._submit(grip)
            failpoint("submitted")
            return await self._accept(grip, accepted)

    async def _intend(self) -> Grip:
        order, store = self._order, self._records.store
        await store.check_durable()
        clock = SetClock(await store.now())
        prepared = await self._upstream.prepare(order.request, order.account, order.thread)
        failpoint("prepared")
        return await intend(self._records, order, prepared, clock)

    async def _submit(self, grip: Grip) -> UpstreamTask:
        order = self._order
        try:
            return await self._upstream.submit(order.request, grip.task.prepared, order.account)
        except GatewayError as error:
            if not error.sent:
                await self._records.delete(order.id)
                raise
            raise await self._lose(grip, error) from error
        except Exception as error:
            get_logger().exception("submit_crashed", task_id=order.id)
            raise await self._lose(grip, error) from error

    async def _lose(self, grip: Grip, error: Exception) -> GatewayError:
        """Have a submit looked for whose answer was lost, and return what its caller is told."""
        try:
            await grip.write(grip.task.step(State.UNKNOWN, grip.now()), due=grip.now())
        except (Conflict, StoreUnavailable):
            # It stands there as being submitted, and is looked for when our hold on it ends.
            get_logger().warning("task_unknown_not_stored", task_id=grip.task.id)
        if isinstance(error, TaskIdMissing):
            return TaskIdMissing(error.message, task_id=grip.task.id, sent=True)
        return _ambiguous(_LOST, grip.task.id)

    async def _accept(self, grip: Grip, found: UpstreamTask) -> Task:
        """Store the provider's id; from here on the poller has the task.

        The provider has been paid: no failure of ours may make a client submit again.
        """
        due = grip.now() + self._poll_interval
        try:
            await grip.write(grip.task.step(State.ACCEPTED, grip.now(), upstream_task=found), due=due)
        except Conflict:
            return await self._join(found, due)
        except StoreUnavailable:
            _keep_trying(self._join(found, due))
            raise _ambiguous(_UNSTORED, grip.task.id) from None
        failpoint("accepted")
        return grip.task

    async def _join(self, found: UpstreamTask, due: float) -> Task:
        """Add the provider's id to what others have made of the task meanwhile."""

        def accept(task: Task) -> Task:
            if task.upstream_task or task.state in FINAL:
                return task
            return task.step(State.ACCEPTED, due, upstream_task=found)

        for _ in range(_STORE_TRIES):
            try:
                return await self._records.change(self._order.id, accept, due=due)
            except StoreUnavailable:
                await asyncio.sleep(1.0)
        raise _ambiguous(_LOST, self._order.id)


def _ambiguous(what: str, task_id: str) -> AmbiguousSubmit:
    """Name the task in the sentence too: not every dialect has a place for it."""
    return AmbiguousSubmit(f"{what}; task {task_id} is being looked for", task_id=task_id, sent=True)


_TRYING: set[asyncio.Task[Task]] = set()
"""The loop itself holds tasks only weakly."""


def _keep_trying(work: Coroutine[Any, Any, Task]) -> None:
    trying = asyncio.get_running_loop().create_task(work)
    _TRYING.add(trying)
    trying.add_done_callback(_report)


def _report(trying: asyncio.Task[Task]) -> None:
    _TRYING.discard(trying)
    if not trying.cancelled() and trying.exception() is not None:
        get_logger().error("task_acceptance_not_stored", error_code=type(trying.exception()).__name__)
