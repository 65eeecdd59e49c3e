"""POST and wait, stream, or walk away: the three ways to hand a generation over."""

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Coroutine, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

import msgspec

from gateway.dialects.base import MediaRef, Purpose
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.idempotency import Answer, Idempotency
from gateway.generation.errors import InvalidRequest
from gateway.generation.events import AnyEvent, Media, TaskAccepted
from gateway.generation.requests import Caller
from gateway.generation.results import Reply, collect
from gateway.generation.views import TaskView
from gateway.media.archive import Archive
from gateway.media.blob import Blob
from gateway.tasks.engine import TaskEngine
from gateway.telemetry.logging import get_logger
from gateway.web.answers import JSON, Headers
from gateway.web.client_watch import ClientWatch
from gateway.web.event_stream import EventStream
from gateway.web.exchange import Exchange, Handler
from gateway.web.open_calls import OpenCalls

__all__ = ["Generate"]

_NO_HEADER_WORD = re.compile(r"[^A-Za-z0-9_-]")
T = TypeVar("T")


class Generate:
    """Generations of every dialect, and tasks watched as streams."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        once: Idempotency,
        tasks: TaskEngine,
        archive: Archive,
        calls: OpenCalls,
        *,
        drain: bool,
    ) -> None:
        self._dispatcher = dispatcher
        self._once = once
        self._tasks = tasks
        self._archive = archive
        self._calls = calls
        self._drain = drain
        self._watch = ClientWatch()
        self._orphans: set[asyncio.Task[Any]] = set()

    def handlers(self) -> Mapping[Purpose, Handler]:
        """Return who serves which purpose."""
        return {Purpose.GENERATE: self.create, Purpose.TASK_EVENTS: self.follow}

    async def create(self, exchange: Exchange) -> None:
        """Decode, dispatch, and answer the way the caller asked for."""
        request = exchange.dialect.decode(exchange.call)
        generation = await self._dispatcher.open(request, exchange.caller, exchange.observed)
        exchange.key.check(generation.request.chat_type, generation.request.model, generation.reply.model)
        answer: Answer = generation
        if self._once.concerns(exchange.caller, generation):
            answer = await self._watch.unless_gone(
                exchange.task,
                exchange.receive,
                self._once.enter(exchange.call.route.path, exchange.caller, generation),
            )
        if request.delivery.background:
            await self._hand_over_task(exchange, answer)
        elif request.delivery.stream:
            await self._stream_generation(exchange, answer)
        else:
            await self._hand_over_whole(exchange, answer)

    async def follow(self, exchange: Exchange) -> None:
        """Stream what becomes of a task that was made before, to its end."""
        task_id = exchange.call.path["id"]
        view = await self._tasks.get(exchange.caller.owner, task_id)
        request = await self._tasks.request(exchange.caller.owner, task_id)
        reply = _reply_of(view, exchange.caller)
        encoder = exchange.dialect.encoder(request, reply)
        await self._stream(exchange, EventStream(_task_events(self._tasks, task_id), encoder))

    async def _stream_generation(self, exchange: Exchange, generation: Answer) -> None:
        encoder = exchange.dialect.encoder(generation.request, generation.reply)
        events = (
            self._with_bytes(generation) if generation.request.delivery.inline_media else generation.events()
        )
        drain = self._drain or generation.costly
        stream = EventStream(events, encoder, headers=lambda: _ignored(generation), drain=drain)
        await self._stream(exchange, stream)

    async def _stream(self, exchange: Exchange, stream: EventStream) -> None:
        exchange.observed.stream = True
        self._calls.add_stream(exchange.task, stream)
        try:
            error = await stream.respond(exchange.receive, exchange.send)
        finally:
            self._calls.discard_stream(exchange.task)
        exchange.observed.client_gone = stream.client_gone
        if error is not None:
            exchange.observed.error_code = error.code

    async def _hand_over_whole(self, exchange: Exchange, generation: Answer) -> None:
        work = self._lasting(collect(generation.events()), drain=generation.costly)
        result = await self._watch.unless_gone(exchange.task, exchange.receive, work)
        pieces = tuple(exchange.dialect.encode_result(generation.request, generation.reply, result))
        headers = [*JSON, *_ignored(generation)]
        if len(pieces) == 1 and isinstance(pieces[0], bytes):
            await exchange.answer_body(pieces[0], headers)
            return
        async with AsyncExitStack() as stack:
            opened = [await self._open_media(piece, stack) for piece in pieces]
            await exchange.answer_pieces(opened, headers)

    def _lasting(self, work: Coroutine[Any, Any, T], *, drain: bool = False) -> Awaitable[T]:
        """Return work that goes on when its caller leaves, if that is wanted."""
        if not self._drain and not drain:
            return work
        orphan = asyncio.get_running_loop().create_task(work)
        self._orphans.add(orphan)
        waiting = asyncio.shield(orphan)
        orphan.add_done_callback(lambda _: self._bury(orphan, waiting))
        return waiting

    def _bury(self, orphan: asyncio.Task[T], waiting: asyncio.Future[T]) -> None:
        """Let work go that has ended; what went wrong is logged where nobody waits for it any more."""
        self._orphans.discard(orphan)
        if waiting.cancelled() and not orphan.cancelled() and (error := orphan.exception()) is not None:
            get_logger().warning("abandoned_work_failed", error=str(error))

    async def _hand_over_task(self, exchange: Exchange, generation: Answer) -> None:
        """Answer as soon as the work is a task."""
        work = self._lasting(_accepted(generation.events()))
        task_id = await self._watch.unless_gone(exchange.task, exchange.receive, work)
        view = await self._tasks.get(exchange.caller.owner, task_id)
        await exchange.answer_view(view, reply=generation.reply, headers=[*JSON, *_ignored(generation)])

    async def _with_bytes(self, generation: Answer) -> AsyncGenerator[AnyEvent, None]:
        """Yield the events, media with their bytes: a frame has no place for a URL here."""
        async with aclosing(generation.events()) as events:
            async for event in events:
                if isinstance(event, Media) and not event.data:
                    blob = await self._archive.open(event)
                    event = msgspec.structs.replace(event, data=await blob.read())
                yield event

    async def _open_media(self, piece: bytes | MediaRef, stack: AsyncExitStack) -> bytes | Blob:
        """Open a medium before the first byte goes out, so that a failure keeps its status."""
        if isinstance(piece, bytes):
            return piece
        return await stack.enter_async_context(aclosing(await self._archive.open(piece.media)))


async def _task_events(tasks: TaskEngine, task_id: str) -> AsyncGenerator[AnyEvent, None]:
    yield TaskAccepted(task_id)
    async with aclosing(tasks.follow(task_id)) as events:
        async for event in events:
            yield event


def _reply_of(view: TaskView, caller: Caller) -> Reply:
    """Return the reply that a task's own stream belongs to: the task is its id and its turn."""
    return Reply(
        id=view.id,
        created=int(view.created),
        model=view.model,
        chat_id=view.chat_id,
        parent_id=view.id,
        base_url=caller.base_url,
        request_id=caller.request_id,
    )


async def _accepted(events: AsyncGenerator[AnyEvent, None]) -> str:
    """Return the id of the task that a generation becomes; it goes on without us."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, TaskAccepted):
                return event.task_id
    raise InvalidRequest("the upstream that serves this request cannot do it in the background")


def _ignored(generation: Answer) -> Headers:
    ignored = generation.ignored
    return ((b"x-gateway-ignored", ", ".join(map(_caller_word, ignored)).encode()),) if ignored else ()


def _caller_word(name: str) -> str:
    """Return what a caller knows a field as (`sampling.seed` is `seed`), safe for a header."""
    word = "reasoning_effort" if name == "thinking.effort" else name.partition(".")[2] or name
    return _NO_HEADER_WORD.sub("?", word)
