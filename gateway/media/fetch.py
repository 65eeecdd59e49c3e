"""Downloading what a provider made: from allowed hosts only, with no token, no redirect, no surprise."""

from collections.abc import AsyncGenerator
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from gateway.generation.errors import InvalidAnswer, UpstreamTimeout, UpstreamUnavailable, UpstreamUnreachable
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
        if exchange.status not in (200, 206):
            exchange.close()
            raise UpstreamUnavailable(f"the media host answered {exchange.status}")
        return _blob(exchange, part)

    def allows(self, url: str) -> bool:
        """Say whether this is an http or https URL on an allowed host."""
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        return parts.scheme in ("http", "https") and any(
            fnmatchcase(host, allowed) for allowed in self._allowed
        )


def _range_header(part: ByteRange | None) -> list[tuple[bytes, bytes]]:
    if part is None:
        return []
    last = "" if part.end is None else str(part.end - 1)
    return [(b"range", f"bytes={part.start}-{last}".encode())]


def _blob(exchange: Exchange, part: ByteRange | None) -> Blob:
    """Describe an answer; a server that ignored the range gives the whole file."""
    length = int(exchange.headers.text("content-length", "0"))
    start, size = 0, length
    content_range = exchange.headers.text("content-range", "")
    if exchange.status == 206 and part is not None and "/" in content_range:
        start, size = part.start, int(content_range.rpartition("/")[2])
    media_type = exchange.headers.text("content-type", "application/octet-stream")
    return Blob(media_type, size, start, start + length, _chunks(exchange))


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
