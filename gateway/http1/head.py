"""The head of an answer as bytes."""

import re
from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus
from operator import itemgetter

__all__ = ["Fields", "encode_head", "encode_text"]

Fields = Iterable[tuple[bytes, bytes]]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {
    status: b"HTTP/1.1 %d %b" % (status, _PHRASES.get(status, "").encode()) for status in range(200, 600)
}
_name_of = itemgetter(0)


def encode_head(status: int, fields: Fields) -> tuple[bytes, int | None, bool]:
    """Return a head but for its blank line, the length that it declares, and whether it says `close`.

    Raises ``ValueError`` for what would not arrive as it was meant.
    """
    fields = list(fields)
    if status not in _STATUS_LINES:
        raise ValueError(f"{status} is not the status of an answer")
    head = b"\r\n".join([_STATUS_LINES[status], *map(b": ".join, fields), b""])
    # Each line ends with one CR and one LF; any further one came from a value.
    lines = len(fields) + 1
    if head.count(b"\n") != lines or head.count(b"\r") != lines or b"\0" in head:
        raise ValueError("a header value holds a line break or a NUL")
    names = [*map(_field_name, map(_name_of, fields))]
    length = _declared_length(names, fields) if b"content-length" in names else None
    return head, length, b"connection" in names and _says_close(fields)


def encode_text(status: int, text: bytes, fields: Fields) -> bytes:
    """Return a whole answer in plain text, the last one of its connection."""
    framing = (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(text)),
        (b"connection", b"close"),
    )
    head, _, _ = encode_head(status, (*fields, *framing))
    return head + b"\r\n" + text


def _declared_length(names: list[bytes], fields: list[tuple[bytes, bytes]]) -> int:
    value = fields[names.index(b"content-length")][1]
    if not value.isdigit() or names.count(b"content-length") > 1:
        raise ValueError("content-length is not one number")
    return int(value)


def _says_close(fields: list[tuple[bytes, bytes]]) -> bool:
    tokens = b",".join(value for name, value in fields if name.lower() == b"connection")
    return b"close" in [token.strip().lower() for token in tokens.split(b",")]


@lru_cache(maxsize=1024)
def _field_name(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise ValueError("a header name is not a token")
    lowered = name.lower()
    if lowered == b"transfer-encoding":
        raise ValueError("transfer-encoding is the server's to set")
    return lowered
