"""Server-sent events to one client: primed, pinged, one write per read, never outliving the client."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

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

    A reader task turns events into frames, the caller's task writes them. What the reader produced
    without waiting leaves in one write; a client that reads slowly makes the reader wait.

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
        self._error: GatewayError | None = None
        self._writer: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._last_write = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    async def respond(self, receive: Receive, send: Send) -> GatewayError | None:
        """Write the whole answer; return the error that ended it, if one did.

        Raises:
            GatewayError: before anything was sent, so that it keeps its HTTP status.
        """
        loop = asyncio.get_running_loop()
        reader = loop.create_task(self._read())
        # Later, because a watcher costs a task, and a short answer is whole before it is needed.
        watcher = loop.call_later(_WATCH_AFTER, self._begin_to_watch, receive)
        try:
            await self._prime(loop)
            await self._write(send, loop)
        finally:
            watcher.cancel()
            if self._watcher is not None:
                self._watcher.cancel()
            await self._stop(reader)
        return self._error

    def abort(self, error: GatewayError) -> None:
        """End the stream with an error frame, from outside."""
        if not self._ended:
            self._end_with(error)

    async def _prime(self, loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the first frame or the first error, but not for ever: proxies want headers."""
        timer = loop.call_later(_PRIME_SECONDS, self._wake)
        try:
            if not self._frames and not self._ended:
                await self._wait(loop)
        finally:
            timer.cancel()
        if self._error is not None and not self._frames:
            raise self._error
        self._started = True

    async def _write(self, send: Send, loop: asyncio.AbstractEventLoop) -> None:
        headers = [*_HEADERS, *self._more_headers()]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        self._last_write = loop.time()
        self._timer = loop.call_later(self._ping, self._tick, loop)
        try:
            while not self.client_gone:
                if self._frames:
                    await self._flush(send, loop)
                elif self._ended:
                    break
                else:
                    await self._wait(loop)
        finally:
            self._timer.cancel()
        if not self.client_gone:
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _flush(self, send: Send, loop: asyncio.AbstractEventLoop) -> None:
        body = b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        if self._room is not None:
            self._room.set_result(None)
            self._room = None
        self._last_write = loop.time()
        await send({"type": "http.response.body", "body": body, "more_body": True})

    async def _read(self) -> None:
        """Encode events as they come; errors become the stream's one error frame."""
        finished = False
        encode, push = self._encoder.encode, self._push
        try:
            async with aclosing(self._events) as events:
                async for event in events:
                    if type(event) is Finish:
                        finished = True
                    push(encode(event))
                    if self._size > _HIGH_WATER:
                        await self._wait_for_room()
                    if self.client_gone or self._ended:
                        if not self._drain or self._ended:
                            return
                        await asyncio.sleep(0)
            if not finished:
                raise AnswerCut("the answer ended without its finish marker")
        except GatewayError as error:
            self._end_with(error)
        except Exception:  # noqa: BLE001 - a client must hear of any fault, whatever raised it
            get_logger().exception("stream_failed")
            self._end_with(GatewayError("internal error"))
        finally:
            self._ended = True
            self._wake()

    def _push(self, frame: bytes) -> None:
        if frame and not self.client_gone:
            self._frames.append(frame)
            self._size += len(frame)
            if self._writer is not None:
                self._wake()

    def _end_with(self, error: GatewayError) -> None:
        self._error = error
        if self._started or self._frames:
            self._push(self._encoder.encode_error(error))
        self._ended = True
        self._wake()

    def _begin_to_watch(self, receive: Receive) -> None:
        self._watcher = asyncio.get_running_loop().create_task(self._watch(receive))

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.client_gone = True
        self._frames.clear()
        self._release_reader()
        self._wake()

    async def _stop(self, reader: asyncio.Task[None]) -> None:
        """End the reader and wait until all below it is closed."""
        self._release_reader()
        if self._drain and self.client_gone:
            _DRAINING.add(reader)
            reader.add_done_callback(_DRAINING.discard)
            return
        if not reader.done():
            reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ping if nothing was written for long; one timer per stream, moved lazily."""
        left = self._last_write + self._ping - loop.time()
        if left <= 0:
            self._push(_PING)
            left = self._ping
        self._timer = loop.call_later(left, self._tick, loop)

    async def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._writer = loop.create_future()
        try:
            await self._writer
        finally:
            self._writer = None

    def _wake(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None and not writer.done():
            writer.set_result(None)

    async def _wait_for_room(self) -> None:
        if self._frames:
            self._room = asyncio.get_running_loop().create_future()
            await self._room

    def _release_reader(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None


_DRAINING: set[asyncio.Task[None]] = set()
"""Readers that go on after their client left; the loop itself holds tasks only weakly."""
