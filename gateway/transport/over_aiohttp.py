"""httpx-aiohttp as the client. Its packages are an extra: import this module only when it is wanted."""

import ssl

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from gateway.transport.limits import Caps, Deadlines
from gateway.transport.over_httpx import OverHttpx

__all__ = ["make_aiohttp_transport"]

_LINE = Caps().header_bytes
_UNASKED = ("Accept", "Content-Type", "User-Agent")
"""What aiohttp would add to a request."""

# The first class that fits wins. httpx-aiohttp itself says "ConnectTimeout" also when the request was out.
_HTTPX_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (UnicodeError, httpx.ConnectError),  # a host name that DNS cannot hold
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ClientConnectionError, httpx.ReadError),
    (aiohttp.ClientPayloadError, httpx.ReadError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.ClientError, httpx.LocalProtocolError),
)


def make_aiohttp_transport(
    *,
    deadlines: Deadlines | None = None,
    caps: Caps | None = None,
    ssl_context: ssl.SSLContext | None = None,
    idle_seconds: float = 4.0,
) -> OverHttpx:
    """Return a transport that opens nothing before its first call; its TLS context takes 25 ms to make."""
    context = ssl_context or ssl.create_default_context()

    def make_session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=idle_seconds, ssl=context),
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_UNASKED,
            max_line_size=_LINE,
            max_field_size=_LINE,
        )

    return OverHttpx(_Aiohttp(verify=context, client=make_session), deadlines=deadlines, caps=caps)


class _Aiohttp(AiohttpTransport):
    """httpx-aiohttp with the class of httpx's errors that each of aiohttp's belongs to."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        try:
            return await super().handle_async_request(request)
        except (UnicodeError, aiohttp.ClientError, httpx.TransportError) as error:
            told = error.__cause__ if isinstance(error, httpx.TransportError) else error
            kind = next(
                (theirs for known, theirs in _HTTPX_ERRORS if isinstance(told, known)), httpx.ReadError
            )
            raise kind(str(told)) from error
