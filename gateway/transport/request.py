"""A request as bytes."""

import re
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from functools import lru_cache

import msgspec

from gateway.transport.errors import InvalidRequest

__all__ = ["Body", "Fields", "Head", "prepare_head", "slices"]

Fields = Sequence[tuple[bytes, bytes]]
Body = bytes | AsyncIterable[bytes]

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
_SLICE = 256 * 1024


class Head(msgspec.Struct, frozen=True, gc=False):
    """A request line and header section, but for the framing of the body and the blank line."""

    method: str
    lines: bytes
    declared: int | None
    """The ``Content-Length`` that the caller has set."""
    coded_allowed: bool
    """Whether the caller has set ``Accept-Encoding``, and so expects a coded body."""

    def encode(self, body: Body) -> bytes:
        """Return the whole head. Raises ``InvalidRequest`` when ``body`` is not as long as declared."""
        if self.declared is None:
            return self.lines + self._framing(body)
        if isinstance(body, bytes) and self.declared != len(body):
            raise InvalidRequest("content-length does not match the body")
        return self.lines + b"\r\n\r\n"

    def _framing(self, body: Body) -> bytes:
        if not isinstance(body, bytes):
            return b"\r\ntransfer-encoding: chunked\r\n\r\n"
        if body or self.method in _BODY_METHODS:
            return b"\r\ncontent-length: %d\r\n\r\n" % len(body)
        return b"\r\n\r\n"


@lru_cache(maxsize=256)  # An account's calls begin with the same bytes each time.
def prepare_head(method: str, form: bytes, fields: tuple[tuple[bytes, bytes], ...], authority: bytes) -> Head:
    """Check and encode what many requests have in common.

    ``form`` is the request target as it goes on the wire. ``Host`` and ``Accept-Encoding: identity`` are
    added where the caller has not set them. Raises ``InvalidRequest``.
    """
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
    return Head(method, head, _declared_length(names, fields), b"accept-encoding" in names)


async def slices(body: bytes) -> AsyncGenerator[bytes, None]:
    """Yield a large body in pieces, so that it is written as fast as the peer takes it, not faster."""
    for start in range(0, len(body), _SLICE):
        yield body[start : start + _SLICE]


def _declared_length(names: list[bytes], fields: Fields) -> int | None:
    if b"content-length" not in names:
        return None
    value = fields[names.index(b"content-length")][1]
    if not value.isdigit():
        raise InvalidRequest("content-length is not a number")
    return int(value)


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
