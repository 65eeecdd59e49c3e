"""Downloading what a provider made: from allowed hosts only, with no token, no redirect, no surprise."""

import re
from collections.abc import AsyncGenerator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from gateway.generation.errors import (
    InvalidAnswer,
    RangeNotSatisfiable,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from gateway.media.blob import Blob, ByteRange
from gateway.transport import (
    Caps,
    ConnectTimeout,
    Deadlines,
    Exchange,
    ReadTimeout,
    Transport,
    TransportError,
)

__all__ = ["Fetcher"]

_PAGE = "text/html"
_UNKNOWN_TYPE = "application/octet-stream"
_SATISFIED = re.compile(r"bytes (?P<start>\d{1,15})-(?P<last>\d{1,15})/(?P<size>\d{1,15})")
_UNSATISFIED = re.compile(r"bytes \*/(?P<size>\d{1,15})")
_DEADLINES = Deadlines(connect=5.0, first_byte=30.0, between_bytes=30.0, total=600.0)


class Fetcher:
    """Opens media by URL.

    Args:
        public: a transport that connects to public addresses only; used for every ordinary URL.
        local: a transport without that limit; used for what an upstream marked as private.
        allowed_hosts: host names, `*.` in front for all below a domain.
        max_bytes: the largest medium.
    """

    def __init__(
        self, public: Transport, local: Transport, allowed_hosts: tuple[str, ...], max_bytes: int
    ) -> None:
        self._public = public
        self._local = local
        self._allowed = tuple(host.lower() for host in allowed_hosts)
        self._caps = Caps(body_bytes=max_bytes)

    async def open(self, url: str, *, private: bool = False, part: ByteRange | None = None) -> Blob:
        """Open a URL for reading.

        Raises:
            InvalidAnswer: the host is not allowed, or the answer is not a file.
            RangeNotSatisfiable: the piece lies behind the end of the file.
            UpstreamError: the host cannot be reached, fails or is too slow.
        """
        if not private and not self.allows(url):
            raise InvalidAnswer("the provider's media is on a host that media.allowed_hosts does not name")
        transport = self._local if private else self._public
        try:
            exchange = await transport.send(
                "GET", url, headers=_range_header(part), deadlines=_DEADLINES, caps=self._caps
            )
        except TransportError as error:
            raise _translated(error) from error
        try:
            return _blob(exchange)
        except BaseException:
            exchange.close()
            raise

    def allows(self, url: str) -> bool:
        """Say whether this is an http or https URL on an allowed host."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        host = (parts.hostname or "").lower()
        return parts.scheme in ("http", "https") and any(
            fnmatchcase(host, allowed) for allowed in self._allowed
        )


def _range_header(part: ByteRange | None) -> list[tuple[bytes, bytes]]:
    if part is None:
        return []
    if part.start < 0:
        return [(b"range", b"bytes=%d" % part.start)]
    last = b"" if part.end is None else b"%d" % (part.end - 1)
    return [(b"range", b"bytes=%d-%b" % (part.start, last))]


def _blob(exchange: Exchange) -> Blob:
    """Describe an answer; a server that ignored the range gives the whole file."""
    media_type = exchange.headers.text("content-type", _UNKNOWN_TYPE)
    if media_type.startswith(_PAGE):
        raise InvalidAnswer("the media host answered with a page")
    chunks = _chunks(exchange)
    match exchange.status:
        case 200:
            length = exchange.headers.text("content-length", "")
            size = int(length) if length else None
            return Blob(media_type, size, 0, size, chunks, exchange.close)
        case 206:
            start, end, size = _content_range(exchange)
            return Blob(media_type, size, start, end, chunks, exchange.close)
        case 416:
            told = _UNSATISFIED.fullmatch(exchange.headers.text("content-range", ""))
            raise RangeNotSatisfiable(int(told["size"]) if told else None)
    raise UpstreamUnavailable(f"the media host answered {exchange.status}")


def _content_range(exchange: Exchange) -> tuple[int, int, int]:
    """Return where a piece begins and ends, and the size of the whole."""
    found = _SATISFIED.fullmatch(exchange.headers.text("content-range", ""))
    if found is None:
        raise InvalidAnswer("the media host sent a piece without saying which")
    return int(found["start"]), int(found["last"]) + 1, int(found["size"])


async def _chunks(exchange: Exchange) -> AsyncGenerator[bytes, None]:
    try:
        async with exchange:
            async for chunk in exchange:
                yield chunk
    except TransportError as error:
        raise _translated(error) from error


def _translated(error: TransportError) -> UpstreamUnreachable | UpstreamTimeout:
    if isinstance(error, ReadTimeout | ConnectTimeout):
        return UpstreamTimeout("the media host was too slow")
    return UpstreamUnreachable("the media host could not be read")
