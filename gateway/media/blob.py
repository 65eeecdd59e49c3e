"""Bytes on their way: a file, or a piece of one, that can be read once."""

import base64
from collections.abc import AsyncGenerator, AsyncIterable

import msgspec

__all__ = ["Blob", "ByteRange", "base64_chunks"]


class ByteRange(msgspec.Struct, frozen=True):
    """The bytes from `start` up to `end`, which is not included; `end` None is the end of the file."""

    start: int
    end: int | None = None


class Blob(msgspec.Struct, frozen=True):
    """An open file. `size` is the whole file's, `start` and `end` what `chunks` yields of it."""

    media_type: str
    size: int
    start: int
    end: int
    chunks: AsyncGenerator[bytes, None]

    @property
    def partial(self) -> bool:
        """Whether this is a piece of the file only."""
        return (self.start, self.end) != (0, self.size)


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
