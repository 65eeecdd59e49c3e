"""One client's connection: requests come in, answers go out, one after the other."""

import asyncio
import logging
from collections import deque
from typing import Any, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.http1.exchange import Exchange
from gateway.http1.head import Fields, encode_text
from gateway.transport import BatchingTransport, TimeoutQueue

__all__ = ["Connection", "HttpProtocol"]

_NONSENSE = b"Invalid HTTP request received."
_TOO_LARGE = b"The head of the request is too large."
_log = logging.getLogger("uvicorn.error")


class HttpProtocol:
    """The protocol of one uvicorn server, for its `http=` setting.

    Args:
        head_bytes: the largest head of a request.
        head_seconds: how long a head is waited for, or the rest of a body whose answer is complete (up to
            twice as long).
    """

    def __init__(self, *, head_bytes: int = 64 * 1024, head_seconds: float = 30.0) -> None:
        self._head_bytes = head_bytes
        self._head_seconds = head_seconds
        self._shared: _Shared | None = None

    def __call__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> "Connection":
        """Return the protocol of a new connection."""
        if self._shared is None:
            self._shared = _Shared(config, server_state, app_state, self._head_bytes, self._head_seconds)
        return Connection(self._shared)


class _Shared:
    """What the connections of one server have in common."""

    def __init__(
        self,
        config: Config,
        state: ServerState,
        app_state: dict[str, Any],
        head_bytes: int,
        head_seconds: float,
    ) -> None:
        self.app: Any = config.loaded_app
        self.state = state
        self.app_state = app_state
        self.root_path = config.root_path
        self.raw_root_path = config.root_path.encode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": config.asgi_version, "spec_version": "2.3"},
            "root_path": config.root_path,
        }
        self.loop = asyncio.get_running_loop()
        self.head_bytes = head_bytes
        self.reading = TimeoutQueue(head_seconds, Connection.expire)
        """Connections that owe a head, or the rest of a body that nobody waits for."""
        self.idle = TimeoutQueue(config.timeout_keep_alive, Connection.expire)
        """Connections between two requests."""


class Connection(asyncio.Protocol):
    """A socket, its parser, and the exchanges on it: one is answered, others may wait behind it.

    Nothing refers to an exchange when its answer is complete, nor to the connection when its socket is
    closed: neither is left to the garbage collector.
    """

    __slots__ = (
        "_answered",
        "_fields",
        "_parser",
        "_pipelined",
        "_reading",
        "_reading_head",
        "_reading_paused",
        "_received",
        "_refusal",
        "_scope",
        "_shared",
        "_timeouts",
        "_transport",
        "_url",
        "writable",
    )

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self._transport: BatchingTransport
        self._timeouts: TimeoutQueue[Connection] | None = None
        self._scope: dict[str, Any] = {}
        self._url = b""
        self._fields: list[tuple[bytes, bytes]] = []
        self._reading_head = True
        self._received = 0
        """Bytes since the last head or piece of a body: no head, chunk line or trailer may be longer."""
        self._reading: Exchange | None = None
        """Whose body is being read."""
        self._answered: Exchange | None = None
        """Whose answer is being written."""
        self._pipelined: deque[Exchange] | None = None
        self._refusal = b""
        self._reading_paused = False
        self.writable: asyncio.Event | None = None

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = BatchingTransport(cast("asyncio.Transport", transport), self._shared.loop)
        self._scope = {
            **self._shared.scope,
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": "https" if transport.get_extra_info("sslcontext") else "http",
        }
        self._shared.state.connections.add(cast("Any", self))
        self._wait_in(self._shared.reading)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(_TOO_LARGE if isinstance(error.__context__, _HeadTooLarge) else _NONSENSE)
        if self._received > self._shared.head_bytes:
            self._refuse(_TOO_LARGE)
        if self._answered is None and not self._transport.is_closing():
            self._wait_in(self._shared.reading)

    def eof_received(self) -> None:
        # A client that only closes its sending side looks like one that has gone: its work must end.
        self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self._shared.state.connections.discard(cast("Any", self))
        self._wait_in(None)
        self.resume_writing()
        if self._answered is not None:
            self._answered.leave()
        self._answered = self._reading = self._pipelined = None
        del self._parser  # it refers to us

    def pause_writing(self) -> None:
        self.writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self.writable is not None:
            self.writable.set()
            self.writable = None

    # The server's side.

    def shutdown(self) -> None:
        """Close once the requests that are here are answered."""
        if self._answered is None:
            self._transport.close()
        else:
            last = self._pipelined[-1] if self._pipelined else self._answered
            last.keep_alive = False

    def expire(self) -> None:
        """Close because the client has let its time pass."""
        self._timeouts = None
        if self.writable is None:
            self._transport.close()
        else:  # it does not even read
            self._transport.abort()

    # The exchange's side.

    @property
    def default_fields(self) -> Fields:
        """What uvicorn adds to every head."""
        return self._shared.state.default_headers

    def write(self, data: bytes) -> None:
        """Send data in order."""
        self._transport.write(data)

    def resume_reading(self) -> None:
        """Take data in again after `pause_reading`."""
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def complete(self, exchange: Exchange) -> None:
        """Go on after an answer: with the next request, or by waiting for one."""
        self._shared.state.total_requests += 1
        owes_more = self._reading_head or self._reading is not None
        if self._reading is exchange:
            self._reading = None
        self._answered = None
        if not exchange.keep_alive:
            self._transport.close()
        elif self._pipelined:
            self._answer(self._pipelined.popleft())
        elif self._refusal:
            self._send_refusal()
        else:
            self.resume_reading()
            self._wait_in(self._shared.reading if owes_more else self._shared.idle)

    def cut(self) -> None:
        """Close in the middle of an exchange, after what was sent of it."""
        if self._answered is not None:
            self._answered.leave()
        self._transport.close()

    # The parser's side.

    def on_message_begin(self) -> None:
        self._reading_head = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._reading_head:  # else it is a trailer, and those shall never pass for a head's
            self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._reading_head = False
        limit = self._shared.head_bytes
        if self._received > limit and _size(self._url, self._fields) > limit:
            raise _HeadTooLarge
        self._received = 0
        if self._parser.should_upgrade():
            return  # `_parse` gets to know of it too
        exchange = Exchange(self, self._take_scope(), keep_alive=self._parser.should_keep_alive())
        self._reading = exchange
        if self._answered is None:
            self._answer(exchange)
        else:
            self._pause_reading()
            if self._pipelined is None:
                self._pipelined = deque()
            self._pipelined.append(exchange)

    def on_body(self, body: bytes) -> None:
        self._received = 0
        if self._reading is not None and self._reading.feed(body):
            self._pause_reading()

    def on_message_complete(self) -> None:
        self._received = 0
        exchange, self._reading = self._reading, None
        if exchange is not None:
            exchange.feed_end()

    def _parse(self, data: bytes | memoryview) -> None:
        """Parse a packet; an offer of another protocol is not taken.

        The parser ends such a request with its head. It is parsed again without the offer, because it may
        have a body, and that must not be taken for the next request.
        """
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                self._parser.feed_data(self._take_head_without_offer())
                data = memoryview(data)[offer.args[0] :]
            else:
                return

    def _take_head_without_offer(self) -> bytes:
        method = self._parser.get_method()
        if method == b"CONNECT":
            raise httptools.HttpParserError("no tunnels here")
        line = b"%b %b HTTP/%b" % (method, self._url, self._parser.get_http_version().encode())
        fields = [b": ".join(field) for field in self._fields if field[0] != b"upgrade"]
        self._url, self._fields = b"", []
        return b"\r\n".join([line, *fields, b"", b""])

    def _take_scope(self) -> dict[str, Any]:
        """Return the ASGI scope of the request whose head is here."""
        shared, parser, url = self._shared, self._parser, httptools.parse_url(self._url)
        if url.path is None:
            raise ValueError("the target has no path")
        path = url.path.decode("ascii")
        scope = {
            **self._scope,
            "http_version": parser.get_http_version(),
            "method": parser.get_method().decode("ascii"),
            "path": shared.root_path + (unquote(path) if "%" in path else path),
            "raw_path": shared.raw_root_path + url.path,
            "query_string": url.query or b"",
            "headers": self._fields,
            "state": shared.app_state.copy(),
        }
        self._url, self._fields = b"", []
        return scope

    def _answer(self, exchange: Exchange) -> None:
        self._answered = exchange
        self._wait_in(None)
        tasks = self._shared.state.tasks
        task = self._shared.loop.create_task(exchange.run(self._shared.app))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    def _refuse(self, reason: bytes) -> None:
        """Read no more, and say why when all that came before is answered."""
        self._pause_reading()
        if self._refusal:
            return
        _log.warning(reason.decode())
        self._refusal = reason
        broken, self._reading = self._reading, None
        if broken is not None and self._pipelined and self._pipelined[-1] is broken:
            self._pipelined.pop()
        elif broken is not None and broken.started:
            self.cut()
            return
        if self._answered is broken:
            self._send_refusal()

    def _send_refusal(self) -> None:
        self.write(encode_text(400, self._refusal, self.default_fields))
        self.cut()

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _wait_in(self, timeouts: "TimeoutQueue[Connection] | None") -> None:
        """Give the client a limited time for what it shall do next, or as long as it likes."""
        if self._timeouts is timeouts:
            return
        if self._timeouts is not None:
            self._timeouts.discard(self)
        if timeouts is not None:
            timeouts.add(self)
        self._timeouts = timeouts


class _HeadTooLarge(Exception):
    """A whole head came that is larger than any client's."""


def _size(url: bytes, fields: list[tuple[bytes, bytes]]) -> int:
    return len(url) + sum(len(name) + len(value) + 4 for name, value in fields)


def _address(name: Any) -> tuple[str, int] | None:
    """Return host and port; a socket without them, or without a peer any more, has no address."""
    return (name[0], name[1]) if isinstance(name, tuple) else None
