"""One connection as the gate sees it, and what a fault can do to the answer on its way."""

import asyncio
from collections.abc import Callable

from litestar.types import HTTPResponseBodyEvent, HTTPResponseStartEvent, Message, Receive, Send

from .faults import Fault, Reply

__all__ = ["Wire", "disturb", "send_reply"]


class Wire:
    """The client's side: what it sends, what it gets, and the socket in between.

    `cookie`, if set, is handed out with the head of the answer.
    """

    def __init__(self, receive: Receive, send: Send, close: Callable[[], None]) -> None:
        self.receive = receive
        self.cookie = b""
        self._send = send
        self._close = close
        self._dead = False

    async def send(self, message: Message) -> None:
        """Pass a message on; on a cut wire it vanishes, as it would."""
        if self._dead:
            return
        if message["type"] == "http.response.start" and self.cookie:
            headers = [*message["headers"], (b"set-cookie", self.cookie)]
            message = _head(message["status"], headers)
        await self._send(message)

    def cut(self) -> None:
        """Close the socket after what was sent."""
        self._dead = True
        self._close()

    async def wait(self, seconds: float | None) -> None:
        """Sleep for so long (`None`: for ever), but not after the client has left."""
        try:
            await asyncio.wait_for(self._gone(), seconds)
        except TimeoutError:
            return
        self._dead = True

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


async def send_reply(wire: Wire, reply: Reply) -> None:
    """Send a whole answer."""
    headers = [("content-type", reply.media_type), ("content-length", str(len(reply.body))), *reply.headers]
    await wire.send(_head(reply.status, [(name.encode(), value.encode()) for name, value in headers]))
    await wire.send(_body(reply.body, more=False))


def disturb(wire: Wire, fault: Fault) -> Send:
    """Return a `send` that does to the answer what the fault says."""
    return _DISTURBERS[fault.kind](wire, fault).send


class _Disturber:
    """Passes everything on; each fault overrides what it changes."""

    def __init__(self, wire: Wire, fault: Fault) -> None:
        self.wire = wire
        self.fault = fault
        self.pieces = 0
        self.bytes = 0

    async def send(self, message: Message) -> None:
        """Dispatch on the kind of message."""
        if message["type"] == "http.response.start":
            await self.head(message)
        elif message["type"] == "http.response.body":
            await self.body(message)
            self.pieces += 1
            self.bytes += len(message["body"])

    async def head(self, message: HTTPResponseStartEvent) -> None:
        await self.wire.send(message)

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        await self.wire.send(message)


class _LostAnswer(_Disturber):
    """The work is done and recorded; then the connection dies without a word."""

    async def head(self, message: HTTPResponseStartEvent) -> None:
        self.wire.cut()


class _Cut(_Disturber):
    """The socket closes after so many body bytes."""

    async def head(self, message: HTTPResponseStartEvent) -> None:
        await self.wire.send(_without_length(message))

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        end = self.end(message["body"])
        if end is None and message["more_body"]:
            await self.wire.send(message)
            return
        await self.wire.send(_body(message["body"][:end], more=True))
        self.wire.cut()

    def end(self, body: bytes) -> int | None:
        """Where in this piece the cut falls."""
        left = self.fault.after - self.bytes
        return left if left < len(body) else None


class _CutInCharacter(_Cut):
    """The same between the bytes of the first character beyond ASCII."""

    def end(self, body: bytes) -> int | None:
        return next((at + 1 for at, byte in enumerate(body) if byte >= 0xC0), None)


class _Stall(_Disturber):
    """Silence after so many pieces."""

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        if self.pieces == self.fault.after:
            await self.wire.wait(self.fault.seconds or None)
        await self.wire.send(message)


class _Slow(_Disturber):
    """A pause before the head and before each piece."""

    async def head(self, message: HTTPResponseStartEvent) -> None:
        await self.wire.wait(self.fault.head_seconds)
        await self.wire.send(message)

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        await self.wire.wait(self.fault.seconds)
        await self.wire.send(message)


class _MalformedFrame(_Disturber):
    """A broken frame after so many pieces."""

    async def head(self, message: HTTPResponseStartEvent) -> None:
        await self.wire.send(_without_length(message))

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        if self.pieces == self.fault.after:
            await self.wire.send(_body(b'data: {"choices":[{"delta":{"content":\n\n', more=True))
        await self.wire.send(message)


class _DoneFrame(_Disturber):
    """An explicit end marker, which the wire does without as a rule."""

    async def body(self, message: HTTPResponseBodyEvent) -> None:
        if not message["more_body"]:
            await self.wire.send(_body(b"data: [DONE]\n\n", more=True))
        await self.wire.send(message)


class _WrongContentType(_Disturber):
    """The right body under the wrong name."""

    async def head(self, message: HTTPResponseStartEvent) -> None:
        wrong = (b"content-type", b"application/octet-stream")
        kept = [pair for pair in message["headers"] if pair[0] != b"content-type"]
        await self.wire.send(_head(message["status"], [*kept, wrong]))


_DISTURBERS: dict[str, type[_Disturber]] = {
    "lost_answer": _LostAnswer,
    "cut": _Cut,
    "cut_in_character": _CutInCharacter,
    "stall": _Stall,
    "slow": _Slow,
    "malformed_frame": _MalformedFrame,
    "done_frame": _DoneFrame,
    "wrong_content_type": _WrongContentType,
}


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> HTTPResponseStartEvent:
    return {"type": "http.response.start", "status": status, "headers": headers}


def _body(body: bytes, *, more: bool) -> HTTPResponseBodyEvent:
    return {"type": "http.response.body", "body": body, "more_body": more}


def _without_length(message: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
    kept = [pair for pair in message["headers"] if pair[0] != b"content-length"]
    return _head(message["status"], kept)
