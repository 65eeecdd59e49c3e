"""Connections whose request heads are bounded in size and in time: uvicorn bounds neither."""

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.transport import BatchingTransport

__all__ = ["BoundedHeads"]


class BoundedHeads(HttpToolsProtocol):
    """Refuses a head that is larger than any client's, and hangs up on one that does not come."""

    most_bytes: ClassVar[int] = 64 * 1024
    seconds: ClassVar[float] = 30.0

    _received: int | None = 0
    """How much of a head is there; None while none is awaited."""
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give a new connection its time, and let its answers leave in batches."""
        super().connection_made(BatchingTransport(transport, self.loop))
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        """Pass a packet on; a head that is still not whole must not have become too large or too late."""
        if self._received is not None:
            self._received += len(data)
        super().data_received(data)
        if self._received is None or self.transport.is_closing():
            return
        if self._received > self.most_bytes:
            self.send_400_response("The head of the request is too large.")
        elif self._timer is None:
            self._start_timer()

    def on_message_begin(self) -> None:
        """Begin a head; the packet in which it begins is not counted, for it may end a body."""
        super().on_message_begin()
        self._received = 0

    def on_headers_complete(self) -> None:
        """End the head."""
        self._received = None
        self._stop_timer()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer with its connection."""
        self._stop_timer()
        super().connection_lost(exc)

    def _start_timer(self) -> None:
        self._timer = self.loop.call_later(self.seconds, self._hang_up)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hang_up(self) -> None:
        self.transport.close()
