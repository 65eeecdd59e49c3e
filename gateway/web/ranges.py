"""The Range header: one piece of a file."""

import re

from gateway.media.blob import ByteRange

__all__ = ["read_range"]

_ONE_RANGE = re.compile(rb"bytes=(?P<start>[0-9]{1,15})?-(?P<end>[0-9]{1,15})?")


def read_range(header: bytes) -> ByteRange | None:
    """Return the piece that was asked for.

    None is the whole file: no header, one that is malformed, or several ranges (RFC 9110 allows to
    ignore those). A negative start counts from the end.
    """
    found = _ONE_RANGE.fullmatch(header.replace(b" ", b""))
    if not found or (found["start"] is None and found["end"] is None):
        return None
    if found["start"] is None:
        return ByteRange(-int(found["end"]))
    start, end = int(found["start"]), found["end"]
    if end is not None and int(end) < start:
        return None
    return ByteRange(start, None if end is None else int(end) + 1)
