"""httpx's API over the gateway's own transport."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from math import inf

import httpx

from gateway.transport.contract import AnyExchange, AnyTransport
from gateway.transport.errors import (
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    InvalidRequest,
    ProtocolError,
    ReadTimeout,
    TooLarge,
    TransportError,
)
from gateway.transport.limits import Deadlines
from gateway.transport.request import Body
from gateway.transport.transport import Transport

__all__ = ["HttpxTransport"]

# The first class that fits wins.
_HTTPX_ERRORS: tuple[tuple[type[TransportError], type[httpx.TransportError]], ...] = (
    (InvalidRequest, httpx.LocalProtocolError),
    (ConnectTimeout, httpx.ConnectTimeout),
    (ConnectError, httpx.ConnectError),
    (ReadTimeout, httpx.ReadTimeout),
    (ConnectionLost, httpx.ReadError),
    (ProtocolError, httpx.RemoteProtocolError),
    (TooLarge, httpx.RemoteProtocolError),
)
# Set by httpx unasked. The framing is ours; only identity is asked for, so that a cap means what is read.
_OURS = frozenset({b"transfer-encoding", b"accept-encoding"})


class HttpxTransport(httpx.AsyncBaseTransport):
    """A transport of ours for ``httpx.AsyncClient(transport=...)``.

    Response cookies are taken out, so that a client shared by several accounts never carries the cookie of
    one to another. Errors become httpx's, with ours as the ``__cause__``.
    """

    def __init__(self, transport: AnyTransport | None = None) -> None:
        self._transport = transport or Transport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        with _httpx_errors(request):
            exchange = await self._transport.send(
                request.method,
                str(request.url),
                headers=[field for field in request.headers.raw if field[0].lower() not in _OURS],
                body=_body(request),
                deadlines=self._deadlines(request),
            )
        return httpx.Response(
            exchange.status,
            headers=[field for field in exchange.headers.raw if field[0] != b"set-cookie"],
            stream=_Stream(exchange, request),
        )

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _deadlines(self, request: httpx.Request) -> Deadlines:
        """Return httpx's connect and read time-outs with our total; None switches one off.

        A write that stalls meets the read time-out; there is no pool to wait for.
        """
        default = self._transport.deadlines
        given: dict[str, float | None] = request.extensions.get("timeout", {})
        read = given.get("read", default.between_bytes)
        connect = given.get("connect", default.connect)
        return Deadlines(
            connect=inf if connect is None else connect,
            first_byte=inf if read is None else read,
            between_bytes=inf if read is None else read,
            total=default.total,
        )


class _Stream(httpx.AsyncByteStream):
    def __init__(self, exchange: AnyExchange, request: httpx.Request) -> None:
        self._exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors(self._request):
            async for piece in self._exchange:
                yield piece

    async def aclose(self) -> None:
        self._exchange.close()


def _body(request: httpx.Request) -> Body:
    try:
        return request.content
    except httpx.RequestNotRead:
        assert isinstance(request.stream, httpx.AsyncByteStream)
        return request.stream


@contextmanager
def _httpx_errors(request: httpx.Request) -> Iterator[None]:
    try:
        yield
    except TransportError as error:
        for ours, theirs in _HTTPX_ERRORS:
            if isinstance(error, ours):
                raise theirs(str(error), request=request) from error
        raise
