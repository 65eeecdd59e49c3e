"""One connection."""

import asyncio
import select
from collections.abc import AsyncIterable, Callable
from math import inf
from typing import cast

from gateway.transport.batching import BatchingTransport
from gateway.transport.errors import (
    ConnectError,
    ConnectionLost,
    FirstByteTimeout,
    SilenceTimeout,
    TotalTimeout,
    TransportError,
)
from gateway.transport.limits import Deadlines
from gateway.transport.response import Response
from gateway.transport.upload import upload
from gateway.transport.watchdog import Watchdog

__all__ = ["Connection"]

_HIGH_WATER = 256 * 1024


class Connection(asyncio.Protocol):
    """A socket, and the exchange on it: ``begin``, one ``send``, ``wait`` as often as needed, ``end``.

    ``abort`` is the one way out of everything: it closes the socket and ends response and upload, now.
    """

    __slots__ = (
        "_deadlines",
        "_drained",
        "_on_lost",
        "_poll",
        "_reading_paused",
        "_response",
        "_transport",
        "_upload",
        "_watchdog",
        "_writing_paused",
        "idle_since",
        "loop",
        "lost",
        "origin",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: str, on_lost: "Callable[[Connection], object]"
    ) -> None:
        self.loop = loop
        self.origin = origin
        self.lost = False
        self.idle_since = 0.0
        self._deadlines = Deadlines()
        self._response: Response | None = None
        self._upload: asyncio.Task[None] | None = None
        self._watchdog = Watchdog(loop, self._late)
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._poll = select.poll()
        self._drained: asyncio.Future[None] | None = None
        self._reading_paused = self._writing_paused = False

    # The exchange's side.

    def begin(self, response: Response, deadlines: Deadlines, started_at: float) -> None:
        """Read what comes from now on into ``response``. Raises ``ConnectError``."""
        if self.lost:
            raise ConnectError("the connection ended before anything was sent")
        self._response = response
        self._upload = None
        self._deadlines = deadlines
        self._watchdog.start(deadlines, started_at)

    def send(self, data: bytes) -> None:
        """Send the whole request, right after ``begin``."""
        assert self._transport is not None
        self._transport.write(data)
        self._watchdog.patience_ends = self.loop.time() + self._deadlines.first_byte

    def send_stream(self, head: bytes, body: AsyncIterable[bytes], length: int | None) -> None:
        """Send the head, and go on with the body while the response may already come."""
        self.write(head)
        self._upload = self.loop.create_task(self._run_upload(body, length))

    def wait(self, response: Response) -> asyncio.Future[None]:
        """Return what is done when ``response`` has something new, an error when a deadline has passed."""
        if response.status:
            self._watchdog.patience_ends = self.loop.time() + self._deadlines.between_bytes
        return response.wait()

    def resume_if_paused(self) -> None:
        """Let the peer send again after back-pressure."""
        if self._reading_paused and self._transport is not None and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def end(self) -> bool:
        """Leave the exchange if all is sent and read; return whether the connection can take another one."""
        response = self._response
        sent = self._upload is None or self._upload.done()
        if self.lost or not sent or response is None or not response.keep_alive:
            return False
        self._response = None
        self._watchdog.stop()
        self.resume_if_paused()
        return True

    def abort(self, error: Exception | None = None) -> None:
        """Close the socket now, and end the response with ``error`` unless it is complete.

        Safe at any time, also before the connection is made.
        """
        if self._response is not None:
            self._response.fail(error or ConnectionLost("the connection was closed on this side"))
        self.lost = True
        self._watchdog.cancel()
        if self._upload is not None:
            self._upload.cancel()
        if self._transport is not None:
            self._transport.abort()

    @property
    def reusable(self) -> bool:
        """Whether the peer has sent nothing, not even its end, since the last response.

        The socket itself is asked, because the loop may not have come round to it yet.
        """
        return not (self.lost or self._poll.poll(0))

    # The upload's side.

    def write(self, data: bytes) -> None:
        """Send ``data`` as soon as the peer takes it. Raises ``ConnectionLost``."""
        if self._transport is None or self._transport.is_closing():
            raise ConnectionLost("the connection ended while the request was being sent")
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the peer has taken most of what was written, within the deadlines."""
        while self._writing_paused and not self.lost:
            self._drained = self.loop.create_future()
            self._be_patient(self._deadlines.between_bytes)
            await self._drained
            self._be_patient(inf)

    async def _run_upload(self, body: AsyncIterable[bytes], length: int | None) -> None:
        try:
            await upload(self, body, length)
        except asyncio.CancelledError:
            self.abort()  # it may be the caller's body that was cancelled, not we
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, whoever reads the response gets it
            self.abort(error)
        else:
            self._be_patient(self._deadlines.first_byte)

    def _be_patient(self, limit: float) -> None:
        """Set how long the head is waited for; once it is there, the reader of the body decides."""
        if self._response is not None and not self._response.status:
            self._watchdog.patience_ends = self.loop.time() + limit

    def _late(self) -> None:
        if self.loop.time() >= self._watchdog.total_ends:
            self.abort(TotalTimeout("the exchange took too long"))
        elif self._writing_paused or (self._response is not None and self._response.status):
            self.abort(SilenceTimeout("the peer fell silent"))
        else:
            self.abort(FirstByteTimeout("no response head came in time"))

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = BatchingTransport(cast("asyncio.Transport", transport), self.loop)
        self._poll.register(transport.get_extra_info("socket"), select.POLLIN)
        if self.lost:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        response = self._response
        if response is None or response.complete:
            self.abort()  # nobody asked for this; whatever it answers, it is not the next request
            return
        try:
            response.feed(data)
        except TransportError as error:
            self.abort(error)
            return
        if response.waiter is None:
            self._watchdog.patience_ends = inf
        if response.buffered > _HIGH_WATER and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._response is not None:
            self._response.feed_eof(exc)
        self.abort()
        self.resume_writing()
        self._transport = None
        self._on_lost(self)

    def eof_received(self) -> None:
        if self._response is not None:
            self._response.feed_eof(None)
        self.abort()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
