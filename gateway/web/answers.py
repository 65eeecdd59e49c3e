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
            async for text in base64_chunks(piece.chunks):
                await _send_more(send, text)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def send_blob(scope: HTTPScope, send: Send, blob: Blob, headers: Headers = ()) -> None:
    """Send a file, or the piece of it that was asked for; a HEAD request gets the headers only."""
    length = blob.end - blob.start
    described = [
        *headers,
        (b"content-type", blob.media_type.encode("latin-1")),
        (b"content-length", b"%d" % length),
        (b"accept-ranges", b"bytes"),
    ]
    if blob.partial:
        described.append((b"content-range", b"bytes %d-%d/%d" % (blob.start, blob.end - 1, blob.size)))
    await send({"type": "http.response.start", "status": 206 if blob.partial else 200, "headers": described})
    if scope["method"] != "HEAD":
        async with aclosing(blob.chunks) as chunks:
            async for chunk in chunks:
                await _send_more(send, chunk)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _send_more(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
