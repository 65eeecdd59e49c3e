"""Writing answers on ASGI's wire."""

from collections.abc import Iterable, Sequence
from contextlib import aclosing
from typing import Any

from litestar.types import HTTPScope, Send

from gateway.media.blob import Blob, base64_chunks

__all__ = ["JSON", "Headers", "send_blob", "send_body", "send_pieces"]

Headers = Sequence[tuple[bytes, bytes]]
JSON: Headers = ((b"content-type", b"application/json"),)


async def send_body(send: Send, status: int, body: bytes, headers: Headers = JSON) -> None:
    """Send a whole answer."""
    start: Any = {
        "type": "http.response.start",
        "status": status,
        "headers": [*headers, (b"content-length", b"%d" % len(body))],
    }
    await send(start)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_pieces(send: Send, pieces: Iterable[bytes | Blob], headers: Headers = JSON) -> None:
    """Send an answer whose blobs are written as base64 between the other pieces, never held whole."""
    await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
    for piece in pieces:
        if isinstance(piece, bytes):
            await _send_more(send, piece)
        else:
            async with aclosing(base64_chunks(piece.chunks)) as texts:
                async for text in texts:
                    await _send_more(send, text)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_blob(scope: HTTPScope, send: Send, blob: Blob, headers: Headers = ()) -> None:
    """Send a file, or the piece of it that was asked for, and close it; HEAD gets the headers only."""
    async with aclosing(blob):
        status = 206 if blob.partial else 200
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *_describe(blob)]})
        if scope["method"] != "HEAD":
            async for chunk in blob.chunks:
                await _send_more(send, chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _describe(blob: Blob) -> Headers:
    described = [(b"content-type", blob.media_type.encode("latin-1")), (b"accept-ranges", b"bytes")]
    if blob.length is not None:
        described.append((b"content-length", b"%d" % blob.length))
    if blob.partial:
        last = b"%d-%d/%d" % (blob.start, (blob.end or 0) - 1, blob.size or 0)
        described.append((b"content-range", b"bytes " + last))
    return described


async def _send_more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
