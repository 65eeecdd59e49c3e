"""One paid call for one intention: repeated creates join the first instead of paying again.

A client says that it repeats itself by `Idempotency-Key`; the official SDKs say it by their retry count,
which counts for what costs one of few: a text is simply asked again.
What is remembered under a key is the id of the answer, which is the task's id too: where there is a task, a
repetition follows it, and where there is none although there should be, nothing was ever submitted.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from functools import partial
from typing import Protocol

import msgspec

from gateway.dispatch.dispatcher import Generation
from gateway.generation.errors import (
    AmbiguousSubmit,
    Conflict,
    GatewayError,
    IdempotencyKeyReuse,
    StorageUnavailable,
)
from gateway.generation.events import (
    AnyEvent,
    Finish,
    ReasoningDelta,
    TaskAccepted,
    TextDelta,
    ToolCallDelta,
)
from gateway.generation.requests import Caller, GenerationRequest
from gateway.generation.results import Choice, GenerationResult, Reply, Sum
from gateway.media.archive import Archive
from gateway.state.store import Conflict as WriteConflict
from gateway.state.store import Record, StateStore, StoreUnavailable
from gateway.tasks.clock import SetClock
from gateway.tasks.engine import TaskEngine
from gateway.tasks.failpoints import failpoint
from gateway.tasks.heartbeat import Heartbeat
from gateway.tasks.task import State
from gateway.telemetry.logging import get_logger

__all__ = ["Answer", "Idempotency"]

_TABLE = "idempotency"
_KEYED_SECONDS = 86_400.0
_RECENT_SECONDS = 600.0
"""How long a create without a key can be joined by the client's own retries."""
_ALIVE_SECONDS = 6.0
_BEAT_SECONDS = 2.0
_JOIN_SECONDS = 60.0
_LOOK_SECONDS = 0.1
_SEARCH_SECONDS = 20.0
"""How long a repetition waits for a submit to be found whose caller has gone."""
_IN_PROGRESS = "the first call with this key is still under way"


class Answer(Protocol):
    """What web hands over: a generation, or the repetition of one."""

    request: GenerationRequest
    reply: Reply

    @property
    def ignored(self) -> tuple[str, ...]:
        """The request's fields that the provider could not honour."""
        ...

    @property
    def costly(self) -> bool:
        """Whether it shall be finished although its caller has gone; a task goes on anyway."""
        ...

    def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Yield the answer's events; may be iterated once."""
        ...


class _Memory(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of a create. `alive`: until when its first caller is surely at work (store's clock).

    `durable`: it becomes a task under the reply's id; otherwise `result` is what came of it.
    """

    digest: str
    reply: Reply
    durable: bool
    alive: float
    result: GenerationResult | None = None
    ignored: tuple[str, ...] = ()


_decode = msgspec.json.Decoder(_Memory).decode
_Lasting = Callable[[GenerationResult], Awaitable[GenerationResult]]


class Idempotency:
    """Finds out whether a create is a repetition."""

    def __init__(self, store: StateStore, tasks: TaskEngine, archive: Archive) -> None:
        self._store = store
        self._tasks = tasks
        self._archive = archive
        self._heartbeat = Heartbeat(_BEAT_SECONDS)

    def concerns(self, caller: Caller, generation: Generation) -> bool:
        """Whether a create may be a repetition that matters; else there is nothing to wait for in `enter`."""
        return bool(caller.idempotency_key) or generation.costly or generation.durable

    async def enter(self, route: str, caller: Caller, generation: Generation) -> Answer:
        """Return the generation, watched over, or the answer of the one that it repeats.

        Raises:
            IdempotencyKeyReuse: the key came with another body before.
            Conflict: the first call is still under way after a minute.
            AmbiguousSubmit: the first call ended in the middle, and nobody knows whether it was paid for.
            StoreUnavailable: what must be remembered cannot be, or perhaps is; nothing was sent.
        """
        if not self.concerns(caller, generation):
            return generation
        entry = _Entry(self._store, self._heartbeat, route, caller, generation)
        deadline = time.monotonic() + _JOIN_SECONDS
        while True:
            try:
                answer = await self._look(entry, caller, generation)
            except StoreUnavailable:
                if entry.strict or caller.retry:
                    raise
                get_logger().warning("retry_memory_not_stored", request_id=caller.request_id)
                return generation
            if answer is not None:
                return answer
            if time.monotonic() > deadline:
                raise Conflict(_IN_PROGRESS, code="idempotency_in_progress")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _look(self, entry: "_Entry", caller: Caller, generation: Generation) -> Answer | None:
        """Return what to answer with, None while the first call is still under way."""
        record = await self._store.get(_TABLE, entry.name)
        if record is not None and (entry.keyed or caller.retry):
            known = _decode(record.value)
            if known.digest != entry.digest:
                raise IdempotencyKeyReuse("the Idempotency-Key was used with another body")
            answer, over = await self._repeat(known, generation)
            if not over:
                return answer
            generation.answer_as(known.reply.id)
        try:
            await entry.claim(record)
        except WriteConflict:
            return None
        failpoint("key_claimed")
        return _First(entry, generation, self._lasting)

    async def _repeat(self, known: _Memory, generation: Generation) -> tuple[Answer | None, bool]:
        """Return the first call's answer if there is one, and whether that call died without a trace.

        Then it may be made again, under the same id: should the first one live after all, only one of the
        two can store its intent.
        """
        state = await self._tasks.find_state(known.reply.id) if known.durable else None
        answer = self._join(known, state, generation)
        silent = await self._store.now() - known.alive
        if answer is not None or silent <= 0.0:
            return answer, False
        if state is not None and silent > _SEARCH_SECONDS:
            raise AmbiguousSubmit(_unknown(known.reply.id), task_id=known.reply.id)
        if state is None and not known.durable:
            raise AmbiguousSubmit("the first call with this key ended before its answer was whole")
        return None, state is None

    def _join(self, known: _Memory, state: State | None, generation: Generation) -> Answer | None:
        """Return the answer that is there already; a submit that is being looked for has none yet."""
        fresh = generation.reply
        reply = msgspec.structs.replace(known.reply, base_url=fresh.base_url, request_id=fresh.request_id)
        if known.result is not None:
            return _Repeated(generation.request, reply, known.ignored, _replay(known.result))
        if state is not None and state not in (State.SUBMITTING, State.UNKNOWN):
            return _Repeated(generation.request, reply, known.ignored, self._follow(reply.id))
        return None

    async def _follow(self, task_id: str) -> AsyncGenerator[AnyEvent, None]:
        yield TaskAccepted(task_id)
        async with aclosing(self._tasks.follow(task_id)) as events:
            async for event in events:
                yield event

    async def _lasting(self, result: GenerationResult) -> GenerationResult:
        """Return a result without bytes: they are kept as files, and their addresses remembered."""
        media = tuple([await self._archive.keep(medium) for medium in result.media])
        return msgspec.structs.replace(result, media=media)


def _unknown(task_id: str) -> str:
    return f"the first call ended before its answer came; task {task_id} is being looked for"


class _Entry:
    """The record of one create; while its context is entered, signs of life are written into it."""

    def __init__(
        self, store: StateStore, heartbeat: Heartbeat, route: str, caller: Caller, generation: Generation
    ) -> None:
        self._store = store
        self._heartbeat = heartbeat
        self._generation = generation
        self._renewal: asyncio.Task[None] | None = None
        self._clock = SetClock(time.time())
        self.keyed = bool(caller.idempotency_key)
        self.strict = self.keyed or generation.durable
        """Whether nothing may be sent before this is stored."""
        self.digest = hashlib.sha256(msgspec.json.encode(generation.request)).hexdigest()
        scope = (caller.owner, route, "key" if self.keyed else "body", caller.idempotency_key or self.digest)
        self.name = hashlib.sha256(msgspec.json.encode(scope)).hexdigest()

    async def claim(self, record: Record | None) -> None:
        """Become the first call, over what is there.

        Raises:
            store.Conflict: somebody else did.
        """
        self._clock = SetClock(await self._store.now())
        memory = _Memory(
            digest=self.digest,
            reply=self._generation.reply,
            durable=self._generation.durable,
            alive=self._clock.now() + _ALIVE_SECONDS,
        )
        await self._put(memory, record.version if record else 0, durable=self.strict)

    async def __aenter__(self) -> None:
        self._heartbeat.add(self._begin_renewal)

    async def __aexit__(self, *_: object) -> None:
        self._heartbeat.discard(self._begin_renewal)
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.gather(self._renewal, return_exceptions=True)

    async def finish(self, result: GenerationResult, ignored: tuple[str, ...]) -> None:
        """Note what came of it."""
        step = partial(msgspec.structs.replace, result=result, ignored=ignored)
        await self._change(step, durable=self.strict)

    async def forget(self) -> None:
        """Let the next call be a first one."""
        try:
            if await self._ours() is not None:
                await self._store.delete(_TABLE, self.name)
        except StoreUnavailable:
            get_logger().warning("idempotency_not_stored", key=self.name)

    def _begin_renewal(self) -> None:
        """Show a sign of life, unless the last one is still being written; nobody else's waits for it."""
        if self._renewal is None:
            self._renewal = asyncio.get_running_loop().create_task(self._renew())

    async def _renew(self) -> None:
        until = self._clock.now() + _ALIVE_SECONDS
        try:
            await self._change(partial(msgspec.structs.replace, alive=until), durable=False)
        finally:
            self._renewal = None

    async def _change(self, step: Callable[[_Memory], _Memory], *, durable: bool) -> None:
        """Write what is new, unless another call has taken the place over.

        A store that is away costs nothing but a longer wait: the task itself tells that it is there.
        """
        try:
            while (found := await self._ours()) is not None:
                memory, version = found
                try:
                    await self._put(step(memory), version, durable=durable)
                except WriteConflict:
                    continue
                return
        except StoreUnavailable:
            get_logger().warning("idempotency_not_stored", key=self.name)

    async def _ours(self) -> tuple[_Memory, int] | None:
        record = await self._store.get(_TABLE, self.name)
        memory = _decode(record.value) if record else None
        if record is None or memory is None or memory.reply.id != self._generation.reply.id:
            return None
        return memory, record.version

    async def _put(self, memory: _Memory, version: int, *, durable: bool) -> None:
        kept = _KEYED_SECONDS if self.keyed else _RECENT_SECONDS
        record = Record(
            key=self.name,
            value=msgspec.json.encode(memory),
            version=version,
            expires=self._clock.now() + kept,
        )
        await self._store.put(_TABLE, record, durable=durable)


class _First:
    """The call that all repetitions join."""

    def __init__(self, entry: _Entry, generation: Generation, lasting: _Lasting) -> None:
        self.request = generation.request
        self.reply = generation.reply
        self.costly = generation.costly and not generation.durable
        self._entry = entry
        self._generation = generation
        self._lasting = lasting

    @property
    def ignored(self) -> tuple[str, ...]:
        return self._generation.ignored

    async def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Yield the generation's events, and remember what comes of them, unless it is a task."""
        total: Sum | None = Sum()
        try:
            async with self._entry, aclosing(self._generation.events()) as events:
                async for event in events:
                    if isinstance(event, TaskAccepted):
                        total = None
                        failpoint("answered")
                    elif total is not None:
                        total.add(event)
                    yield event
                if total is not None:
                    await self._remember(total.result())
        except BaseException as error:
            await self._let_go(error, accepted=total is None)
            raise

    async def _remember(self, result: GenerationResult) -> None:
        """Note the answer; that it cannot be kept is no reason to refuse it to the one who has waited."""
        try:
            await self._entry.finish(await self._lasting(result), self.ignored)
        except StorageUnavailable:
            get_logger().warning("idempotency_not_stored", key=self._entry.name)
            await self._entry.forget()

    async def _let_go(self, error: BaseException, *, accepted: bool) -> None:
        """Forget what failed without a trace; where there may be a task, its record tells."""
        refused = isinstance(error, GatewayError) and not error.task_id
        if not accepted and (refused or not self._generation.durable):
            await self._entry.forget()


class _Repeated:
    """An answer that was given before."""

    costly = False

    def __init__(
        self,
        request: GenerationRequest,
        reply: Reply,
        ignored: tuple[str, ...],
        events: AsyncGenerator[AnyEvent, None],
    ) -> None:
        self.request = request
        self.reply = reply
        self.ignored = ignored
        self._events = events

    def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Yield what was yielded then, in fewer pieces."""
        return self._events


async def _replay(result: GenerationResult) -> AsyncGenerator[AnyEvent, None]:
    """Take a whole answer apart into events; `collect` puts it together again."""
    for choice in result.choices:
        for event in _said(choice):
            yield event
    for medium in result.media:
        yield medium
    if result.usage is not None:
        yield result.usage
    reasons = tuple(choice.finish_reason for choice in result.choices)
    yield Finish(reasons[0] if reasons else "stop", reasons if len(reasons) > 1 else (), result.extra)


def _said(choice: Choice) -> list[AnyEvent]:
    reasoning = [ReasoningDelta(choice.reasoning, choice.index)] if choice.reasoning else []
    text = [TextDelta(choice.text, choice.index, choice.extra)] if choice.text or choice.extra else []
    calls = [
        ToolCallDelta(at, call.id, call.name, call.arguments, choice.index)
        for at, call in enumerate(choice.tool_calls)
    ]
    return [*reasoning, *text, *calls]
