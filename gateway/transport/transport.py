"""Sending a request and reading its answer."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from math import inf
from time import monotonic
from types import TracebackType
from typing import Self

from gateway.transport.dial import dial, is_public
from gateway.transport.errors import ConnectError, ConnectionLost, ConnectTimeout
from gateway.transport.headers import Headers
from gateway.transport.limits import Caps, Deadlines
from gateway.transport.pool import Pool
from gateway.transport.protocol import Connection
from gateway.transport.proxy import open_tunnel, parse_proxy
from gateway.transport.request import Body, Fields, Head, prepare_head, slices
from gateway.transport.response import Response
from gateway.transport.target import Target, split_url
from gateway.transport.waiting import present_waiting

__all__ = ["Exchange", "Transport"]

_DEADLINES = Deadlines()
_CAPS = Caps()
_ONE_WRITE = 64 * 1024  # a body up to this size goes out with its head


class Transport:
    """An HTTP/1.1 client: one pool of connections per origin; no cookies, no redirects, no retries.

    Only a connection that is found closed before a byte was written is replaced without a word.
    """

    def __init__(
        self,
        *,
        deadlines: Deadlines = _DEADLINES,
        caps: Caps = _CAPS,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        idle_seconds: float = 4.0,
        max_idle: int = 256,
        public_only: bool = False,
    ) -> None:
        """Make a transport; nothing is opened yet.

        ``proxy`` is ``http://[user:password@]host:port``; the environment is never asked for one.
        ``max_idle`` counts idle connections per origin. With ``public_only`` no connection is made to an
        address that the Internet does not route: what is checked is the very address that is dialled.
        Raises ``ValueError`` for a bad proxy, and for ``public_only`` with one, since the proxy resolves.
        """
        if public_only and proxy is not None:
            raise ValueError("public_only cannot hold through a proxy")
        self._deadlines = deadlines
        self._caps = caps
        self._ssl_context = ssl_context
        self._proxy = None if proxy is None else parse_proxy(proxy)
        self._allowed = is_public if public_only else None
        self._pool = Pool(idle_seconds, max_idle)

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of an exchange that brings none of its own."""
        return self._deadlines

    @property
    def open_connections(self) -> int:
        """Connections that are open or being made."""
        return self._pool.open_count

    @property
    def idle_connections(self) -> int:
        """Connections that wait for a request."""
        return self._pool.idle_count

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Fields = (),
        body: Body = b"",
        deadlines: Deadlines | None = None,
        caps: Caps | None = None,
    ) -> "Exchange":
        """Send a request and return as soon as the response head is there.

        The caller closes the exchange, best with ``async with``. A cancelled call closes its socket at once.
        Raises the classes of ``TransportError``, and whatever iterating ``body`` raises.
        """
        started_at = asyncio.get_running_loop().time()
        deadlines = deadlines or self._deadlines
        target = split_url(url)
        head = self._prepare_head(method, target, tuple(headers))
        message = head.encode(body)
        connection = self._pool.take(target.origin) or await self._connect(target, deadlines)
        response = Response(
            connection.loop,
            caps or self._caps,
            bodiless=method == "HEAD",
            coded_allowed=head.coded_allowed,
        )
        try:
            connection.begin(response, deadlines, started_at)
            _write(connection, message, body, head.declared)
            while not response.status:
                if response.error is not None:
                    raise response.error
                await connection.wait(response)
        except BaseException:
            connection.abort()
            raise
        return Exchange(connection, response, self._pool)

    async def aclose(self) -> None:
        """Close every connection, those in use too; later calls of ``send`` fail."""
        await self._pool.aclose()

    def _prepare_head(self, method: str, target: Target, fields: tuple[tuple[bytes, bytes], ...]) -> Head:
        if self._proxy is None or target.secure:
            return prepare_head(method, target.path, fields, target.authority)
        absolute = b"http://" + target.authority + target.path
        return prepare_head(method, absolute, (*fields, *self._proxy.fields), target.authority)

    async def _connect(self, target: Target, deadlines: Deadlines) -> Connection:
        if self._pool.closed:
            raise ConnectError("the transport is closed")
        limit = min(deadlines.connect, deadlines.total)
        began = monotonic()
        try:
            with _connect_errors(target):
                async with asyncio.timeout(None if limit == inf else limit):
                    return await self._establish(target)
        finally:
            if (waiting := present_waiting()) is not None:
                waiting.seconds += monotonic() - began

    async def _establish(self, target: Target) -> Connection:
        context = await self._context() if target.secure else None
        via = self._proxy or target
        connection = self._pool.create(target.origin)
        sock: socket.socket | None = None
        try:
            sock = await dial(via.host, via.port, self._allowed)
            if context is not None and self._proxy is not None:
                await open_tunnel(sock, self._proxy, target)
            name = target.host if context is not None else None
            await connection.loop.create_connection(
                lambda: connection, sock=sock, ssl=context, server_hostname=name
            )
        except BaseException:
            self._pool.drop(connection)
            if sock is not None:
                sock.close()
            raise
        return connection

    async def _context(self) -> ssl.SSLContext:
        if self._ssl_context is None:
            self._ssl_context = await asyncio.to_thread(_shared_context)
        return self._ssl_context


class Exchange:
    """The answer to one request: its status, its headers, and its body as it comes.

    Iterating yields everything that arrived since the last step, never ``b""``. A body that is cut, too slow
    or too large raises, after what came before it was given out. A cancelled read closes the socket at once.
    """

    __slots__ = ("_connection", "_pool", "_response", "headers", "status")

    def __init__(self, connection: Connection, response: Response, pool: Pool) -> None:
        self._connection: Connection | None = connection
        self._response = response
        self._pool = pool
        self.status = response.status
        self.headers = Headers(response.headers)

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come."""
        return self._connection is None

    async def read(self) -> bytes:
        """Return the whole body."""
        if self._response.complete:  # a small answer is there with its head
            self.close()
            return self._response.take()
        return b"".join([piece async for piece in self])

    def close(self) -> None:
        """Give the connection back when the message is complete, else close its socket now."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        if connection.end():
            self._pool.give_back(connection)
        else:
            connection.abort(ConnectionLost("the exchange was closed before the end of its body"))

    async def aclose(self) -> None:
        """Do what ``close`` does, for callers that await."""
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        response = self._response
        try:
            while self._connection is not None and not response.ready:
                await self._connection.wait(response)
            piece = response.take()
        except BaseException:
            self.close()
            raise
        if response.complete:
            self.close()
        elif self._connection is not None:
            self._connection.resume_if_paused()
        if not piece:
            raise StopAsyncIteration
        return piece

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _write(connection: Connection, head: bytes, body: Body, declared: int | None) -> None:
    if not isinstance(body, bytes):
        connection.send_stream(head, body, declared)
    elif len(body) > _ONE_WRITE:
        connection.send_stream(head, slices(body), len(body))
    else:
        connection.send(head + body)


@contextmanager
def _connect_errors(target: Target) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise ConnectTimeout(f"no connection to {target.endpoint} in time") from error
    except (OSError, UnicodeError) as error:
        raise ConnectError(f"no connection to {target.endpoint}: {error}") from error


@cache
def _shared_context() -> ssl.SSLContext:
    """Return the process's TLS context: 25 ms of work, so it is made once, in a thread, when needed."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
