"""Server-sent events to one client: primed, pinged, one write per read, never outliving the client."""

import asyncio
import types
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import aclosing
from typing import Any

from litestar.types import Receive, Send

from gateway.dialects.base import FrameEncoder
from gateway.generation.errors import AnswerCut, GatewayError
from gateway.generation.events import AnyEvent, Finish
from gateway.telemetry.logging import get_logger
from gateway.web.answers import Headers

__all__ = ["EventStream"]

_HEADERS: Headers = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
_PING = b": keep-alive\n\n"
_PRIME_SECONDS = 5.0
_PING_SECONDS = 15.0
_WATCH_AFTER = 0.2
_HIGH_WATER = 64 * 1024


class EventStream:
    """One streamed answer.

    A task of its own turns events into frames: what wakes it for a chunk has fewer coroutines to go through
    than the caller's has. The loop writes the frames as soon as that task waits for the next event, so what
    came together leaves in one write. A client that reads slowly makes the source wait.

    Args:
        events: closed whichever way the stream ends.
        encoder: turns events, and the error that ends them, into frames.
        headers: asked for once, when the first frame is there or the priming time is over.
        drain: read on to the end when the client has gone, instead of cancelling the work.
        ping: seconds of silence before a comment keeps proxies from cutting the connection.
    """

    def __init__(
        self,
        events: AsyncGenerator[AnyEvent, None],
        encoder: FrameEncoder,
        *,
        headers: Callable[[], Headers] = tuple,
        drain: bool = False,
        ping: float = _PING_SECONDS,
    ) -> None:
        self._events = events
        self._encoder = encoder
        self._more_headers = headers
        self._drain = drain
        self._ping = ping
        self._frames: list[bytes] = []
        self._size = 0
        self._started = self._ended = self.client_gone = False
        self._loop = asyncio.get_running_loop()
        self._over: asyncio.Future[None] = self._loop.create_future()  # a fifth of an `Event`; thousands wait
        self._error: GatewayError | None = None
        self._writer: asyncio.Future[None] | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._last_write = 0.0

    async def respond(self, receive: Receive, send: Send) -> GatewayError | None:
        """Write the whole answer; return the error that ended it, if one did.

        Raises:
            GatewayError: before anything was sent, so that it keeps its HTTP status.
        """
        loop = self._loop
        self._receive, self._send = receive, send
        self._last_write = loop.time()
        reader = loop.create_task(self._read())
        # Later, because a watcher costs a task, and a short answer is whole before it is needed.
        self._timer = loop.call_later(_WATCH_AFTER, self._tick)
        try:
            await self._over
            await self._finish()
        finally:
            self._ended = True
            self._timer.cancel()
            for helper in (self._watcher, self._writer):
                if helper is not None:
                    helper.cancel()
            self._watcher = self._writer = None  # a cancelled task refers to its frames, and these to us
            await self._stop(reader)
        return self._error

    def abort(self, error: GatewayError) -> None:
        """End the stream with an error frame, from outside."""
        if not self._ended:
            self._fail(error)
            self._end()

    async def _read(self) -> None:
        """Encode events as they come; errors become the stream's one error frame."""
        finished = False
        encode, push = self._encoder.encode, self._push
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    if type(event) is Finish:
                        finished = True
                    if frame := encode(event):
                        push(frame)
                    if self._size > _HIGH_WATER:
                        await self._catch_up()
                    if self._ended:
                        if not self._drain or not self.client_gone:
                            return
                        await asyncio.sleep(0)  # a source that never waits shall starve nobody
            if not finished:
                raise AnswerCut("the answer ended without its finish marker")
        except GatewayError as error:
            self._fail(error)
        except Exception:  # noqa: BLE001 - a client must hear of any fault, whatever raised it
            get_logger().exception("stream_failed")
            self._fail(GatewayError("internal error"))
        finally:
            self._end()

    def _push(self, frame: bytes) -> None:
        if self._ended:
            return
        if not self._frames:
            self._loop.call_soon(self._flush)
        self._frames.append(frame)
        self._size += len(frame)

    def _fail(self, error: GatewayError) -> None:
        if self._ended:
            return
        self._error = error
        if self._started or self._frames:
            self._push(self._encoder.encode_error(error))

    def _end(self) -> None:
        """Take no more frames, and let the caller finish the answer."""
        self._ended = True
        if not self._over.done():
            self._over.set_result(None)

    def _flush(self) -> None:
        """Write what is there, unless a write is under way: that one takes it along."""
        if self._writer is None:
            self._writer = _begin(self._write())
            if self._writer is not None:
                self._writer.add_done_callback(self._written)

    def _written(self, writer: asyncio.Future[None]) -> None:
        """Make way for the next write; one that failed ends the stream, and is raised at its end."""
        if writer.cancelled() or writer.exception() is not None:
            self._end()
        else:
            self._writer = None

    async def _write(self) -> None:
        if not self._started:
            self._started = True
            headers = [*_HEADERS, *self._more_headers()]
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        while self._frames:
            body = b"".join(self._frames)
            self._frames.clear()
            self._size = 0
            self._last_write = self._loop.time()
            await self._send({"type": "http.response.body", "body": body, "more_body": True})

    async def _catch_up(self) -> None:
        """Wait until the client has taken what is there; the wait may be cancelled, the write goes on."""
        self._flush()
        await asyncio.sleep(0)
        if self._writer is not None:
            await asyncio.wait((self._writer,))

    async def _finish(self) -> None:
        """Write the rest and the end, or raise an error that may still become a status."""
        if self._error is not None and not self._started and not self._frames:
            raise self._error
        if self._writer is not None:
            await self._writer
        await self._write()
        if not self.client_gone:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    def _tick(self) -> None:
        """Watch the client, and break a long silence; one timer per stream, moved lazily."""
        if self._ended:
            return
        if self._watcher is None:
            self._watcher = self._loop.create_task(self._watch())
        patience = self._ping if self._started else _PRIME_SECONDS
        left = self._last_write + patience - self._loop.time()
        if left <= 0:
            if self._started:
                self._push(_PING)
            else:
                self._push(b"")  # proxies want headers, and those leave with a first piece
            left = self._ping
        self._timer = self._loop.call_later(min(left, self._ping), self._tick)

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self.client_gone = True
        self._frames.clear()
        self._size = 0
        self._end()

    async def _stop(self, reader: asyncio.Task[None]) -> None:
        """End the reader and wait until all below it is closed."""
        if reader.done():
            return
        if self._drain and self.client_gone:
            _DRAINING.add(reader)
            reader.add_done_callback(_DRAINING.discard)
            return
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


def _begin(work: Coroutine[Any, None, None]) -> asyncio.Future[None] | None:
    """Run `work` as far as it comes without waiting; return its rest, None if nothing is left of it.

    A write waits only for a client that reads slowly, and a task for each would cost more than the write.
    """
    loop = asyncio.get_running_loop()
    try:
        awaited = work.send(None)
    except StopIteration:
        return None
    except Exception as error:  # noqa: BLE001 - whoever awaits the rest gets it
        failed: asyncio.Future[None] = loop.create_future()
        failed.set_exception(error)
        return failed
    return loop.create_task(_go_on(work, awaited))


@types.coroutine
def _go_on(work: Coroutine[Any, None, None], awaited: Any) -> Generator[Any, None, None]:
    """Wait for what `work` has just asked to wait for, then run its rest."""
    yield awaited
    yield from work.__await__()


_DRAINING: set[asyncio.Task[None]] = set()
"""Readers that go on after their client left; the loop itself holds tasks only weakly."""
