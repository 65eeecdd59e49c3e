"""A provider's double on a real socket: it answers with exactly the bytes that a test wrote down."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import msgspec

__all__ = ["Received", "Wire", "reply", "serve", "stream_reply"]


class Received(msgspec.Struct, frozen=True):
    """A request that the double has read. Header names are in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Wire:
    """What the double has seen so far, and where it listens."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Received] = []

    @property
    def url(self) -> str:
        """The base URL, without a slash at its end."""
        return f"http://127.0.0.1:{self.port}"


def reply(
    status: int, body: bytes, media_type: str = "application/json", headers: dict[str, str] | None = None
) -> bytes:
    """Return a whole answer as bytes."""
    fields = {"content-type": media_type, "content-length": str(len(body)), **(headers or {})}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


def stream_reply(*pieces: bytes, status: int = 200, media_type: str = "text/event-stream") -> list[bytes]:
    """Return an answer in pieces, for a body that the end of the connection ends."""
    head = f"HTTP/1.1 {status} X\r\ncontent-type: {media_type}\r\nconnection: close\r\n\r\n"
    return [head.encode(), *pieces]


@asynccontextmanager
async def serve(answer: Callable[[Received], bytes | list[bytes] | None]) -> AsyncGenerator[Wire, None]:
    """Serve on a free port. `answer` gives bytes, bytes in pieces (one write each), or None for silence."""
    wire = Wire()
    open_: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        open_[task] = writer
        try:
            goes_on = True
            while goes_on and (received := await _read_request(reader)) is not None:
                wire.requests.append(received)
                goes_on = await _answer(answer(received), reader, writer)
        except ConnectionError:
            return  # the caller has left, which is its right
        finally:
            writer.close()
            del open_[task]

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        for writer in open_.values():
            writer.transport.abort()
        await asyncio.gather(*(task for task in open_ if task))


async def _answer(
    answer: bytes | list[bytes] | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Write an answer; return whether the connection goes on."""
    if isinstance(answer, bytes):
        writer.write(answer)
        return True
    if answer is None:
        await reader.read(1)
    for piece in answer or ():
        writer.write(piece)
        await writer.drain()
        await asyncio.sleep(0)
    return False


async def _read_request(reader: asyncio.StreamReader) -> Received | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        start, *lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, path, _ = start.split(" ")
    return Received(method, path, headers, body)
