"""One response, from its first byte to its last."""

import asyncio
from time import monotonic

import httptools

from gateway.transport.errors import ConnectionLost, ProtocolError, TooLarge, TransportError
from gateway.transport.limits import Caps
from gateway.transport.waiting import present_waiting

__all__ = ["Response"]

_IDENTITY = (b"", b"identity")


class Response:
    """What the parser has found so far, and the one reader who waits for more.

    A response belongs to one exchange and is never used again: nothing of one answer is read in the next.
    The ``on_*`` methods are httptools' callbacks.
    """

    __slots__ = (
        "_announced",
        "_bodiless",
        "_body_size",
        "_caps",
        "_coded_allowed",
        "_head_size",
        "_loop",
        "_parser",
        "_pieces",
        "_quiet",
        "_refusal",
        "_waiting",
        "_waits_since",
        "buffered",
        "complete",
        "error",
        "headers",
        "keep_alive",
        "status",
        "waiter",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, caps: Caps, *, bodiless: bool, coded_allowed: bool
    ) -> None:
        self._loop = loop
        self._caps = caps
        self._bodiless = bodiless
        self._coded_allowed = coded_allowed
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._pieces: list[bytes] = []
        self._waiting = present_waiting()
        self._waits_since = 0.0
        self._refusal: TransportError | None = None
        self._head_size = self._body_size = self._quiet = 0
        self._announced = False
        self.status = 0
        """0 until the head is whole; informational heads are skipped."""
        self.headers: list[tuple[bytes, bytes]] = []
        self.buffered = 0
        """Bytes of the body that came and were not taken."""
        self.complete = False
        self.keep_alive = False
        """Whether the server will take another request; true only when complete."""
        self.error: Exception | None = None
        self.waiter: asyncio.Future[None] | None = None
        """What the one reader waits for, if it does."""

    # The connection's side.

    def feed(self, data: bytes) -> None:
        """Take bytes from the socket. Raises ``ProtocolError`` or ``TooLarge``."""
        assert self._parser is not None
        self._quiet += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self.complete:
                raise self._refusal or ProtocolError(f"not an HTTP/1.1 response: {error}") from error
            self.keep_alive = False
        if self.complete:
            self._parser = None  # it refers to us: without this, only the cycle collector frees a response
        elif self._quiet > self._caps.header_bytes:
            raise TooLarge("header", self._caps.header_bytes)
        if self.waiter is not None and (self._pieces or self.complete):
            self._wake()

    def feed_eof(self, cause: Exception | None) -> None:
        """Take the end of the connection: the end of a body that has no other end, else a cut."""
        if self.complete:
            return
        if cause is None and self.status and not self._announced:
            self._finish(keep_alive=False)
            self._wake()
            return
        where = "in the body" if self.status else "before the response head"
        lost = ConnectionLost(f"the connection ended {where}")
        lost.__cause__ = cause
        self.fail(lost)

    def fail(self, error: Exception) -> None:
        """End the response with an error, unless it has ended already."""
        if self.complete or self.error is not None:
            return
        self.error = error
        self._parser = None
        self._wake()

    # The reader's side.

    @property
    def ready(self) -> bool:
        """Whether ``take`` has something to say without waiting."""
        return bool(self._pieces) or self.complete or self.error is not None

    def take(self) -> bytes:
        """Return the body that came since the last call, ``b""`` after its end; else raise the error."""
        if not self._pieces:
            if self.error is not None:
                raise self.error
            return b""
        pieces = self._pieces
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self.buffered = 0
        return body

    def wait(self) -> asyncio.Future[None]:
        """Return what is done when something has changed: the head, more of the body, its end or an error."""
        if self.waiter is not None:
            raise RuntimeError("two tasks read one response")
        self.waiter = self._loop.create_future()
        self._waits_since = monotonic()
        return self.waiter

    def _wake(self) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is None:
            return
        if self._waiting is not None:
            # Until the bytes came: how long the woken reader stands in line is our own affair.
            self._waiting.seconds += monotonic() - self._waits_since
        if not waiter.done():
            waiter.set_result(None)

    # The parser's side.

    def on_message_begin(self) -> None:
        if self.complete:
            raise ProtocolError("bytes after the end of the response")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._caps.header_bytes:
            self._refuse(TooLarge("header", self._caps.header_bytes))
        if not self.status:  # after the head it is a trailer, which nobody reads
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if 100 <= status < 200:
            self.headers.clear()
            return
        if status < 100:
            self._refuse(ProtocolError(f"{status} is not a status code"))
        bodiless = self._bodiless or status in (204, 304)
        self._check_framing(bodiless=bodiless)
        self.status = status
        if bodiless:
            # A peer that announces a body may also send it, by mistake: such a connection is not used again.
            self._finish(keep_alive=not self._announced and self._parser.should_keep_alive())
        self._wake()

    def on_body(self, piece: bytes) -> None:
        self._quiet = 0
        self._body_size += len(piece)
        if self.complete:
            self.keep_alive = False
            return
        if self._body_size > self._caps.body_bytes:
            self._refuse(TooLarge("body", self._caps.body_bytes))
        self._pieces.append(piece)
        self.buffered += len(piece)

    def on_message_complete(self) -> None:
        if self.status and not self.complete:  # an informational head is a message of its own
            assert self._parser is not None
            # False as soon as feed_data has returned: the parser resets itself for the next message.
            self._finish(keep_alive=self._parser.should_keep_alive())

    def _check_framing(self, *, bodiless: bool) -> None:
        for name, value in self.headers:
            if name == b"content-length":
                self._announced = self._announced or value != b"0"
            elif name == b"transfer-encoding":
                self._announced = True
                if value.lower() != b"chunked":
                    self._refuse(ProtocolError("a transfer-encoding other than chunked"))
            elif name == b"content-encoding" and not (bodiless or self._accepts(value)):
                self._refuse(ProtocolError("a compressed body, though identity was asked for"))

    def _accepts(self, coding: bytes) -> bool:
        return self._coded_allowed or coding.lower() in _IDENTITY

    def _finish(self, *, keep_alive: bool) -> None:
        self.complete = True
        self.keep_alive = keep_alive

    def _refuse(self, error: TransportError) -> None:
        self._refusal = error
        raise error
