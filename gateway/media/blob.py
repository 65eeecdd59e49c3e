"""Bytes on their way: a file, or a piece of one, that can be read once."""

import base64
from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing

import msgspec

__all__ = ["Blob", "ByteRange", "base64_chunks"]


class ByteRange(msgspec.Struct, frozen=True):
    """The bytes from `start` up to `end`, which is not included; `end` None is the end of the file."""

    start: int
    end: int | None = None


def _nothing_held() -> None:
    """Release what needs no release."""


class Blob(msgspec.Struct, frozen=True):
    """An open file, read once and closed by whoever opened it.

    `size` is the whole file's, None where nobody knows it before the end; `chunks` yields the bytes from
    `start` up to `end`. `release` gives back what the file holds even if nothing of it was read.
    """

    media_type: str
    size: int | None
    start: int
    end: int | None
    chunks: AsyncGenerator[bytes, None]
    release: Callable[[], None] = _nothing_held

    @property
    def length(self) -> int | None:
        """How many bytes `chunks` yields."""
        return None if self.end is None else self.end - self.start

    @property
    def partial(self) -> bool:
        """Whether this is a piece of the file only."""
        return self.size is not None and (self.start, self.end) != (0, self.size)

    async def read(self) -> bytes:
        """Return all bytes and close the file."""
        async with aclosing(self):
            return b"".join([chunk async for chunk in self.chunks])

    async def aclose(self) -> None:
        """Close the file, read or not; closing twice does no harm."""
        await self.chunks.aclose()
        self.release()


async def base64_chunks(chunks: AsyncIterable[bytes]) -> AsyncGenerator[bytes, None]:
    """Encode a stream as one base64 text, whatever the sizes of its pieces."""
    rest = b""
    async for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % 3
        rest = data[whole:]
        if whole:
            yield base64.b64encode(data[:whole])
    if rest:
        yield base64.b64encode(rest)
