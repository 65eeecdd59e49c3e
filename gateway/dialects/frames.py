"""Server-sent frames, as bytes. Nothing here writes ``id:`` or ``retry:`` lines: SDKs stumble over them."""

from typing import Final

__all__ = ["DONE", "frame", "named_frame"]

DONE: Final = b"data: [DONE]\n\n"
"""The end mark of a stream that went well."""


def frame(body: bytes) -> bytes:
    """Return a frame without an event name around one line of JSON."""
    return b"data: %b\n\n" % body


def named_frame(event: str, body: bytes) -> bytes:
    """Return a frame with an event name."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), body)
