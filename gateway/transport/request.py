"""A request as bytes."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from functools import lru_cache

from gateway.transport.errors import InvalidRequest
from gateway.transport.target import Target

__all__ = ["Body", "Fields", "declared_length", "encode_head", "sets", "slices"]

Fields = Sequence[tuple[bytes, bytes]]
Body = bytes | AsyncIterable[bytes]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_SLICE = 256 * 1024


def encode_head(method: str, target: Target, fields: Fields, body: Body, form: bytes) -> bytes:
    """Return the request line and the header section, with the blank line that ends it.

    ``form`` is the request target as it goes on the wire. ``Host``, ``Accept-Encoding: identity`` and the
    framing of the body are added where the caller has not set them. Raises ``InvalidRequest``.
    """
    fields = tuple(fields)
    head = _head_without_framing(method, form, fields, target.authority)
    declared = declared_length(fields)
    if declared is None:
        return b"\r\n".join((head, *_framing(method, body), b"\r\n"))
    if isinstance(body, bytes) and declared != len(body):
        raise InvalidRequest("content-length does not match the body")
    return head + b"\r\n\r\n"


@lru_cache(maxsize=256)  # An account's calls begin with the same bytes each time.
def _head_without_framing(
    method: str, form: bytes, fields: tuple[tuple[bytes, bytes], ...], authority: bytes
) -> bytes:
    lines = [b"%b %b HTTP/1.1" % (_method(method), form)]
    names = [_field_name(name) for name, _ in fields]
    lines += [b"%b: %b" % field for field in fields]
    if b"host" not in names:
        lines.append(b"host: " + authority)
    if b"accept-encoding" not in names:
        lines.append(b"accept-encoding: identity")
    if names.count(b"host") > 1 or names.count(b"content-length") > 1:
        raise InvalidRequest("host and content-length may be given once")
    head = b"\r\n".join(lines)
    # Each join put in one CR and one LF; any further one came from a value.
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise InvalidRequest("a header value holds a line break or a NUL")
    return head


def declared_length(fields: Fields) -> int | None:
    """Return the ``Content-Length`` that the caller has set. Raises ``InvalidRequest``."""
    for name, value in fields:
        if _field_name(name) == b"content-length":
            if not value.isdigit():
                raise InvalidRequest("content-length is not a number")
            return int(value)
    return None


def sets(fields: Fields, wanted: bytes) -> bool:
    """Return whether the caller has set a field; `wanted` is in lower case."""
    return wanted in [_field_name(name) for name, _ in fields]


async def slices(body: bytes) -> AsyncGenerator[bytes, None]:
    """Yield a large body in pieces, so that it is written as fast as the peer takes it, not faster."""
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


def _framing(method: str, body: Body) -> list[bytes]:
    if not isinstance(body, bytes):
        return [b"transfer-encoding: chunked"]
    return [b"content-length: %d" % len(body)] if body or method in _BODY_METHODS else []


@lru_cache(maxsize=64)
def _method(method: str) -> bytes:
    token = method.encode("ascii", "replace")
    if not _TOKEN.fullmatch(token) or token == b"CONNECT":
        raise InvalidRequest("the method is not a token")
    return token


@lru_cache(maxsize=1024)
def _field_name(name: bytes) -> bytes:
    if not _TOKEN.fullmatch(name):
        raise InvalidRequest("a header name is not a token")
    lowered = name.lower()
    if lowered == b"transfer-encoding":
        raise InvalidRequest("transfer-encoding is the transport's to set")
    return lowered
