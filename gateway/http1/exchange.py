"""One request and its answer: what the application sees of a connection."""

import asyncio
import logging
from typing import Any, Protocol

from gateway.http1.head import Fields, encode_head

__all__ = ["HIGH_WATER", "Client", "Exchange"]

HIGH_WATER = 64 * 1024
"""Bytes of a body that may wait to be asked for."""

_WITHOUT_BODY = frozenset({204, 304})
_log = logging.getLogger("uvicorn.error")


class Client(Protocol):
    """The connection, as far as an exchange needs it."""

    writable: asyncio.Event | None
    """Set once the client takes data again; None while it does."""

    @property
    def default_fields(self) -> Fields: ...

    def write(self, data: bytes) -> None: ...

    def resume_reading(self) -> None: ...

    def complete(self, exchange: "Exchange") -> None: ...

    def cut(self) -> None: ...


class Exchange:
    """Has `receive` and `send` for an application, and `feed`, `feed_end` and `leave` for the connection.

    The head of an answer leaves with the first piece of its body, as ASGI has it; until then a fault can
    still become a 500.
    """

    __slots__ = (
        "_chunked",
        "_client",
        "_complete",
        "_head",
        "_invited",
        "_left",
        "_news",
        "_pieces",
        "_scope",
        "_silent",
        "_size",
        "_unread",
        "_whole",
        "keep_alive",
        "over",
    )

    def __init__(self, client: Client, scope: dict[str, Any], *, keep_alive: bool) -> None:
        self._client = client
        self._scope = scope
        self.keep_alive = keep_alive
        self.over = False
        """Whether nothing more can be said: the answer is complete, or the client has gone."""
        self._complete = False
        # The request's body: what has come and was not asked for yet, and whether that is news.
        self._pieces: list[bytes] = []
        self._size = 0
        self._unread = self._whole = self._invited = False
        self._news: asyncio.Event | None = None
        # The answer: its head until it leaves, then b""; how much of the declared length is left.
        self._head: bytes | None = None
        self._left: int | None = None
        self._chunked = self._silent = False

    async def run(self, app: Any) -> None:
        """Have the request answered, by `app` if it can; a fault never looks like a good end."""
        try:
            await app(self._scope, self.receive, self.send)
        except BaseException as error:
            _log.error("Exception in ASGI application", exc_info=error)
            self._fail()
            if not isinstance(error, Exception):
                raise
        else:
            if not self.over:
                _log.error("ASGI application returned without completing its answer")
                self._fail()

    # The application's side.

    async def receive(self) -> dict[str, Any]:
        """Return what has come of the body, or that there is nobody to answer any more."""
        while not (self._unread or self.over):
            self._ask_for_more()
            await self._wait()
        if self.over:
            return {"type": "http.disconnect"}
        body = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        self._unread = False
        return {"type": "http.request", "body": body, "more_body": not self._whole}

    async def send(self, message: Any) -> None:
        """Send the head or a piece of the body, when the client has taken what was sent before.

        Raises:
            ValueError: the head cannot be put on the wire as it is.
            RuntimeError: the message does not come next, or breaks the length that the head declares.
        """
        if self._client.writable is not None:
            await self._client.writable.wait()
        if self.over and not self._complete:
            return
        kind = message["type"]
        if kind == "http.response.start" and self._head is None:
            self._start(message["status"], message.get("headers", ()))
        elif kind == "http.response.body" and self._head is not None and not self.over:
            self._write(message.get("body", b""), message.get("more_body", False))
        else:
            raise RuntimeError(f"{kind} does not come next in this answer")

    # The connection's side.

    @property
    def started(self) -> bool:
        """Whether a part of the answer is on its way."""
        return self._head == b""

    def feed(self, data: bytes) -> bool:
        """Take a piece of the body; return whether as much waits as may."""
        self._pieces.append(data)
        self._size += len(data)
        self._tell()
        return self._size > HIGH_WATER

    def feed_end(self) -> None:
        """End the body."""
        self._whole = True
        self._tell()

    def leave(self) -> None:
        """End the exchange: the client has gone."""
        self.over = True
        self._tell()

    def _tell(self) -> None:
        self._unread = self._invited = True
        if self._news is not None:
            self._news.set()

    async def _wait(self) -> None:
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        await self._news.wait()

    def _ask_for_more(self) -> None:
        if self._expects_invitation():
            self._client.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._invited = True
        self._client.resume_reading()

    def _expects_invitation(self) -> bool:
        """Return whether the client holds its body back until it is asked for it."""
        if self._invited or self._head is not None or self._scope["http_version"] < "1.1":
            return False
        return any(
            name == b"expect" and value.lower() == b"100-continue" for name, value in self._scope["headers"]
        )

    def _start(self, status: int, fields: Fields) -> None:
        head, self._left, closes = encode_head(status, [*self._client.default_fields, *fields])
        if closes or self._expects_invitation():  # a body that was held back may come, or may not
            self.keep_alive = False
        old = self._scope["http_version"] < "1.1"
        if self._scope["method"] == "HEAD":
            self._silent, self._left = True, None
        elif status in _WITHOUT_BODY:
            self._left = 0
        elif self._left is None and old:
            self.keep_alive = False
        elif self._left is None:
            self._chunked = True
            head += b"transfer-encoding: chunked\r\n"
        if not self.keep_alive and not closes:
            head += b"connection: close\r\n"
        elif self.keep_alive and old:
            head += b"connection: keep-alive\r\n"
        self._head = head + b"\r\n"

    def _write(self, body: bytes, more: bool) -> None:
        assert self._head is not None
        if data := self._head + self._frame(body, more):
            self._client.write(data)
        self._head = b""
        if not more:
            self.over = self._complete = True
            self._tell()
            self._client.complete(self)

    def _frame(self, body: bytes, more: bool) -> bytes:
        """Return a piece of the body as it goes on the wire."""
        if self._silent:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._left is not None:
            left = self._left - len(body)
            if left < 0 or (left and not more):
                self.keep_alive = False
                raise RuntimeError(
                    f"the body is {'shorter' if left > 0 else 'longer'} than its content-length"
                )
            self._left = left
        return body

    def _fail(self) -> None:
        """Answer 500 if nothing has been said, else cut the connection."""
        if self.over:
            return
        if self._head == b"":
            self._client.cut()
            return
        self._head, self._chunked, self.keep_alive = None, False, False
        self._start(500, ((b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"21")))
        self._write(b"Internal Server Error", False)
