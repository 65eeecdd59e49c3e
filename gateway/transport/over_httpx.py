"""The contract of `AnyTransport` over any transport of httpx's, for a peer that our own client fails with.

What our own client does and this cannot do:

* The head of an answer is measured when it is there, so how much of it is read is the inner transport's
  affair; and so is how strictly framing is judged.
* Without a body nothing tells when the request is out: the head of its answer has ``connect`` more.
* The total ends an exchange when somebody next reads it, not while it lies unread.
* A URL is normalized on its way out, and a header's value may be recoded.
* How long a woken reader stands in line counts as waiting for the peer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from time import monotonic
from types import TracebackType
from typing import Self

import httpx

from gateway.transport.contract import AnyExchange
from gateway.transport.errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    FirstByteTimeout,
    InvalidRequest,
    ProtocolError,
    ReadTimeout,
    SilenceTimeout,
    TooLarge,
    TotalTimeout,
    TransportError,
)
from gateway.transport.headers import Headers
from gateway.transport.limits import Caps, Deadlines
from gateway.transport.request import Body, Fields, Head, prepare_head, slices
from gateway.transport.target import split_url
from gateway.transport.upload import iterating
from gateway.transport.waiting import present_waiting

__all__ = ["OverHttpx"]

# The first class that fits wins.
_OUR_ERRORS: tuple[tuple[type[httpx.HTTPError], type[TransportError]], ...] = (
    (httpx.ConnectTimeout, ConnectTimeout),
    (httpx.PoolTimeout, ConnectTimeout),
    (httpx.ConnectError, ConnectError),
    (httpx.ProxyError, ConnectError),
    (httpx.TimeoutException, ReadTimeout),
    (httpx.UnsupportedProtocol, InvalidRequest),
    (httpx.LocalProtocolError, InvalidRequest),
    (httpx.RemoteProtocolError, ProtocolError),
)

_FRAMING = (b"content-length", b"transfer-encoding")
_LetGo = Callable[["_Exchange", httpx.Response], asyncio.Task[None]]


class OverHttpx:
    """A transport that owns ``inner`` and calls through it."""

    def __init__(
        self, inner: httpx.AsyncBaseTransport, *, deadlines: Deadlines | None = None, caps: Caps | None = None
    ) -> None:
        self._inner = inner
        self._deadlines = deadlines or Deadlines()
        self._caps = caps or Caps()
        self._open: set[_Exchange] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of an exchange that brings none of its own."""
        return self._deadlines

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Fields = (),
        body: Body = b"",
        deadlines: Deadlines | None = None,
        caps: Caps | None = None,
    ) -> AnyExchange:
        """Send a request and return as soon as the response head is there; as `AnyTransport` says."""
        call = _Call(deadlines or self._deadlines)
        target = split_url(url)
        head = prepare_head(method, target.path, tuple(headers), target.authority)
        request = call.request(head, url, body)
        if self._closed:
            raise ConnectError("the transport is closed")
        response = await call.open(self._inner, request)
        exchange = _Exchange(response, call, caps or self._caps, self._let_go)
        self._open.add(exchange)
        try:
            exchange.check(bodiless=method == "HEAD", coded_allowed=head.coded_allowed)
        except TransportError:
            exchange.close()
            raise
        return exchange

    async def aclose(self) -> None:
        """Close every connection, those in use too; later calls of ``send`` fail."""
        self._closed = True
        for exchange in list(self._open):
            exchange.close()
        try:
            await asyncio.gather(*self._closing)
        finally:
            await self._inner.aclose()

    def _let_go(self, exchange: "_Exchange", response: httpx.Response) -> asyncio.Task[None]:
        self._open.discard(exchange)
        closing = asyncio.get_running_loop().create_task(response.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing


class _Call:
    """One exchange's time, and how far its request has got."""

    def __init__(self, deadlines: Deadlines) -> None:
        self.deadlines = deadlines
        self.sent = False
        """Whether a byte of the request may have reached the server."""
        self.upload_error: Exception | None = None
        self._loop = asyncio.get_running_loop()
        self._total_ends = self._loop.time() + deadlines.total
        self._answered = False
        self._timeout: asyncio.Timeout | None = None
        self._late: type[ReadTimeout] = FirstByteTimeout

    def request(self, head: Head, url: str, body: Body) -> httpx.Request:
        """Return the request for the inner transport: with the very head that our own client would send."""
        fields = _fields(head.encode(body))
        framed = any(name.lower() in _FRAMING for name, _ in fields)
        stream = _Upload(self, body, head.declared) if framed else None
        timeouts = {"timeout": self._timeouts}
        try:
            return httpx.Request(head.method, url, headers=fields, stream=stream, extensions=timeouts)
        except httpx.InvalidURL as error:
            raise InvalidRequest("the URL is not one that httpx takes") from error

    async def open(self, inner: httpx.AsyncBaseTransport, request: httpx.Request) -> httpx.Response:
        """Send the request and return the answer's head."""
        async with self._waiting(self.deadlines.connect + self.deadlines.first_byte, FirstByteTimeout):
            response = await inner.handle_async_request(request)
        self.sent = self._answered = True
        return response

    async def next_piece(self, pieces: AsyncIterator[bytes]) -> bytes:
        """Return what comes next of the body, ``b""`` at its end."""
        async with self._waiting(self.deadlines.between_bytes, SilenceTimeout):
            while (piece := await anext(pieces, None)) == b"":
                continue
        return piece or b""

    def allow(self, seconds: float, late: type[ReadTimeout]) -> None:
        """Wait so long from now on for the head of the answer; once it is there, its reader decides."""
        if not self._answered and self._timeout is not None and not self._timeout.expired():
            self._wait_until(self._timeout, self._loop.time() + seconds, late)

    @property
    def _timeouts(self) -> dict[str, float | None]:
        """What the inner transport has to keep: it alone knows when it has a connection."""
        connect = None if self.deadlines.connect == inf else self.deadlines.connect
        return {"connect": connect, "pool": connect, "read": None, "write": None}

    @asynccontextmanager
    async def _waiting(self, seconds: float, late: type[ReadTimeout]) -> AsyncGenerator[None, None]:
        """Wait for the peer: not for too long, measured, and with failures of ours."""
        began = monotonic()
        try:
            async with asyncio.timeout(None) as timeout:
                self._wait_until(timeout, self._loop.time() + seconds, late)
                self._timeout = timeout
                yield
        except (TimeoutError, httpx.HTTPError) as error:
            raise self._explain(error) from error
        finally:
            self._timeout = None
            if (waiting := present_waiting()) is not None:
                waiting.seconds += monotonic() - began

    def _wait_until(self, timeout: asyncio.Timeout, when: float, late: type[ReadTimeout]) -> None:
        when = min(when, self._total_ends)
        self._late = TotalTimeout if when == self._total_ends else late
        timeout.reschedule(None if when == inf else when)

    def _explain(self, error: Exception) -> Exception:
        """Return what a failure is in our tree; the caller's own body may be to blame."""
        if self.upload_error is not None:
            return self.upload_error
        if isinstance(error, TimeoutError):
            return self._late("the peer took too long")
        ours = next((ours for theirs, ours in _OUR_ERRORS if isinstance(error, theirs)), ConnectionLost)
        if self.sent and issubclass(ours, ConnectError | InvalidRequest):
            ours = ConnectionLost
        return ours(f"{type(error).__name__} in the HTTP client")  # whose own words may hold a signed URL


class _Upload(httpx.AsyncByteStream):
    """The body of a request: as long as it is on its way, it says how long the peer is waited for."""

    def __init__(self, call: _Call, body: Body, length: int | None) -> None:
        self._call = call
        self._body = body
        self._length = length

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        call, body, size = self._call, self._body, 0
        call.sent = True
        call.allow(inf, TotalTimeout)
        try:
            async with iterating(slices(body) if isinstance(body, bytes) else body) as pieces:
                async for piece in pieces:
                    size += len(piece)
                    call.allow(call.deadlines.between_bytes, SilenceTimeout)
                    if piece:
                        yield piece
                    call.allow(inf, TotalTimeout)
            if self._length not in (None, size):
                raise InvalidRequest("the body is not as long as its content-length", sent=True)
        except Exception as error:
            call.upload_error = error
            raise
        call.allow(call.deadlines.first_byte, FirstByteTimeout)


class _Exchange:
    """The answer to one request."""

    def __init__(self, response: httpx.Response, call: _Call, caps: Caps, let_go: _LetGo) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self.status = response.status_code
        self.headers = Headers([(name.lower(), value) for name, value in response.headers.raw])
        self._response: httpx.Response | None = response
        self._pieces = aiter(response.stream)
        self._call = call
        self._caps = caps
        self._size = 0
        self._let_go = let_go
        self._closing: asyncio.Task[None] | None = None
        self._end: Exception = ConnectionLost("the exchange was closed before the end of its body")

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come."""
        return self._response is None

    def check(self, *, bodiless: bool, coded_allowed: bool) -> None:
        """Look at the head. Raises ``TooLarge`` or ``ProtocolError``."""
        size = sum(len(name) + len(value) + 4 for name, value in self.headers.raw)
        if size > self._caps.header_bytes:
            raise TooLarge("header", self._caps.header_bytes)
        coded = self.headers.text("content-encoding").lower() not in ("", "identity")
        if coded and not (coded_allowed or bodiless or self.status in (204, 304)):
            raise ProtocolError("a compressed body, though identity was asked for")

    async def read(self) -> bytes:
        """Return the rest of the body."""
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """Give the connection back when all was read, else close it: on the loop's next turn."""
        response, self._response = self._response, None
        if response is not None:
            self._closing = self._let_go(self, response)

    async def aclose(self) -> None:
        """Do what ``close`` does, and wait until it is done."""
        self.close()
        if self._closing is not None:
            await asyncio.shield(self._closing)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        if self._response is None:
            raise self._end
        try:
            piece = await self._next_piece()
        except BaseException as error:
            if isinstance(error, Exception):
                self._end = error
            self.close()
            raise
        if not piece:
            self._end = StopAsyncIteration()
            await self.aclose()
            raise self._end
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def _next_piece(self) -> bytes:
        piece = await self._call.next_piece(self._pieces)
        self._size += len(piece)
        if self._size > self._caps.body_bytes:
            raise TooLarge("body", self._caps.body_bytes)
        return piece


def _fields(message: bytes) -> list[tuple[bytes, bytes]]:
    """Return the header fields of a request's head."""
    lines = message.removesuffix(b"\r\n\r\n").split(b"\r\n")[1:]
    return [(name, value) for name, _, value in (line.partition(b": ") for line in lines)]
