"""HTTP for upstream plugins: the shared transport, with its failures said in our tree of errors.

`open_stream` is for the path that every token takes, `fetch` for calls with one small answer, `http_client`
for those who like httpx. None of them looks at the status: what a 429 means is the provider's own language.
"""

import http.cookiejar
import math
import time
from collections.abc import AsyncIterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import TypeVar

import httpx
import msgspec

from gateway.generation.errors import (
    AnswerCut,
    InvalidAnswer,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from gateway.transport import AnyExchange as Exchange
from gateway.transport import AnyTransport as Transport
from gateway.transport import (
    Caps,
    ConnectError,
    ConnectionLost,
    ConnectTimeout,
    Deadlines,
    HttpxTransport,
    ProtocolError,
    ReadTimeout,
    TooLarge,
    TransportError,
)

__all__ = [
    "Answer",
    "Body",
    "Caps",
    "Deadlines",
    "Exchange",
    "Fields",
    "Transport",
    "TransportError",
    "decode_json",
    "fetch",
    "http_client",
    "open_stream",
    "retry_after",
    "upstream_error",
]

T = TypeVar("T")
Fields = Sequence[tuple[bytes, bytes]]
Body = bytes | AsyncIterable[bytes]


class Answer(msgspec.Struct, frozen=True):
    """A whole answer. Header names are in lower case; of a repeated header the first one is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def decode(self, decoder: msgspec.json.Decoder[T]) -> T:
        """Read the body as JSON. Raises `InvalidAnswer`."""
        return decode_json(self.body, decoder)


def open_stream(
    transport: Transport,
    method: str,
    url: str,
    *,
    headers: Fields = (),
    body: Body = b"",
    deadlines: Deadlines | None = None,
    caps: Caps | None = None,
) -> AbstractAsyncContextManager[Exchange]:
    """Send a call and hand out its answer from the head on; closed on leaving, read to the end or not.

    What the transport raises, on opening or while the body is read inside the block, leaves the block as
    `UpstreamUnreachable`, `UpstreamTimeout`, `AnswerCut` or `InvalidAnswer`.
    """
    return _OpenStream(transport, method, url, headers, body, deadlines, caps)


async def fetch(
    transport: Transport,
    method: str,
    url: str,
    *,
    headers: Fields = (),
    body: Body = b"",
    deadlines: Deadlines | None = None,
    caps: Caps | None = None,
) -> Answer:
    """Send a call and read its whole answer, whatever the status; raises as `open_stream` does."""
    async with _OpenStream(transport, method, url, headers, body, deadlines, caps) as exchange:
        content = await exchange.read()
        fields = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers.raw[::-1]
        }
        return Answer(exchange.status, fields, content)


def decode_json(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read a provider's JSON. Raises `InvalidAnswer`, whose message shows nothing of the content."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise InvalidAnswer("The provider's JSON does not have the expected form.", sent=True) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidAnswer("The provider's answer is not JSON.", sent=True) from error


def retry_after(value: str) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for (RFC 9110, 10.2.3), None for none."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return max(seconds, 0.0) if math.isfinite(seconds) else None


def http_client(
    transport: Transport, *, base_url: str = "", headers: Mapping[str, str] | None = None
) -> httpx.AsyncClient:
    """Return an httpx client over the shared transport, for control calls.

    It keeps no cookie (one account's would go out with another's token), follows no redirect and reads no
    environment variable. It raises httpx's errors; closing it leaves the shared transport open.
    """
    nobody = http.cookiejar.DefaultCookiePolicy(allowed_domains=[])
    return httpx.AsyncClient(
        transport=_Borrowed(transport),
        base_url=base_url,
        headers=headers,
        cookies=http.cookiejar.CookieJar(nobody),
        follow_redirects=False,
        trust_env=False,
    )


def upstream_error(error: TransportError, *, answering: bool = False) -> UpstreamError:
    """Say a transport's failure in our tree; `answering`: the response head had come.

    The messages are fixed sentences: a transport's own may hold a host name.
    """
    match error:
        case ConnectTimeout():
            return UpstreamTimeout("The provider took too long to accept a connection.", sent=error.sent)
        case ConnectError():
            return UpstreamUnreachable("The provider cannot be reached.", sent=error.sent)
        case ReadTimeout():
            return UpstreamTimeout("The provider took too long to answer.", sent=error.sent)
        case ConnectionLost() if answering:
            return AnswerCut("The connection to the provider was lost in mid-answer.", sent=error.sent)
        case ConnectionLost():
            return UpstreamUnreachable("The connection to the provider was lost.", sent=error.sent)
        case TooLarge():
            return InvalidAnswer(f"The provider's {error.part} is too large.", sent=error.sent)
        case ProtocolError():
            return InvalidAnswer("The provider's answer is not valid HTTP.", sent=error.sent)
    return UpstreamUnreachable(
        "The call to the provider cannot be sent as it is configured.", sent=error.sent
    )


class _Borrowed(HttpxTransport):
    async def aclose(self) -> None:
        """Leave the shared transport open: it belongs to the gateway."""


class _OpenStream:
    """An own class, because `contextlib.asynccontextmanager` costs a generator per call."""

    __slots__ = ("_body", "_caps", "_deadlines", "_exchange", "_headers", "_method", "_transport", "_url")

    def __init__(
        self,
        transport: Transport,
        method: str,
        url: str,
        headers: Fields,
        body: Body,
        deadlines: Deadlines | None,
        caps: Caps | None,
    ) -> None:
        self._transport = transport
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._deadlines = deadlines
        self._caps = caps

    async def __aenter__(self) -> Exchange:
        try:
            self._exchange = await self._transport.send(
                self._method,
                self._url,
                headers=self._headers,
                body=self._body,
                deadlines=self._deadlines,
                caps=self._caps,
            )
        except TransportError as error:
            raise upstream_error(error) from error
        return self._exchange

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exchange.close()
        if isinstance(error, TransportError):
            raise upstream_error(error, answering=True) from error
