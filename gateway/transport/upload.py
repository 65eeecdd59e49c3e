"""Sending a request body piece by piece."""

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from gateway.transport.errors import InvalidRequest

__all__ = ["Sink", "iterating", "upload"]


class Sink(Protocol):
    """Where the pieces go."""

    def write(self, data: bytes) -> None: ...

    async def drain(self) -> None: ...


async def upload(sink: Sink, body: AsyncIterable[bytes], length: int | None) -> None:
    """Write ``body``, in chunks when ``length`` is None, no faster than the peer takes it.

    Raises ``ConnectionLost``, ``InvalidRequest`` when the body is not ``length`` bytes long, and whatever
    iterating it raises.
    """
    size = 0
    async with iterating(body) as pieces:
        async for piece in pieces:
            size += len(piece)
            if length is None:
                piece = b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
            elif size > length:
                break
            sink.write(piece)
            await sink.drain()
    if length is None:
        sink.write(b"0\r\n\r\n")
    elif size != length:
        raise InvalidRequest("the body is not as long as its content-length", sent=True)


@asynccontextmanager
async def iterating(body: AsyncIterable[bytes]) -> AsyncGenerator[AsyncIterator[bytes], None]:
    """Close the iterator afterwards if it is a generator: its ``finally`` must not wait for the collector."""
    pieces = aiter(body)
    try:
        yield pieces
    finally:
        if isinstance(pieces, AsyncGenerator):
            await pieces.aclose()
