"""What the gateway asks of an HTTP client: its own `Transport` fulfils it, and so does `OverHttpx`."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Protocol, Self

from gateway.transport.headers import Headers
from gateway.transport.limits import Caps, Deadlines
from gateway.transport.request import Body, Fields

__all__ = ["AnyExchange", "AnyTransport"]


class AnyExchange(Protocol):
    """The answer to one request: its status, its headers, and its body as it comes.

    Iterating never yields ``b""``. A body that is cut, too slow or too large raises, after what came before
    it was given out.
    """

    @property
    def status(self) -> int:
        """The status code; informational answers are skipped."""
        ...

    @property
    def headers(self) -> Headers:
        """The header fields."""
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing more is to come."""
        ...

    async def read(self) -> bytes:
        """Return the rest of the body."""
        ...

    def close(self) -> None:
        """Free the connection: for the next request if all was read, else for good."""
        ...

    async def aclose(self) -> None:
        """Do what ``close`` does, for callers that await."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class AnyTransport(Protocol):
    """Sends requests within deadlines; keeps no cookie, follows no redirect, asks for no compression."""

    @property
    def deadlines(self) -> Deadlines:
        """The deadlines of an exchange that brings none of its own."""
        ...

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Fields = (),
        body: Body = b"",
        deadlines: Deadlines | None = None,
        caps: Caps | None = None,
    ) -> AnyExchange:
        """Send a request and return as soon as the response head is there.

        The caller closes the exchange. A cancelled call leaves no connection in use. Raises the classes of
        ``TransportError``, and whatever iterating ``body`` raises.
        """
        ...

    async def aclose(self) -> None:
        """Close every connection, those in use too; later calls of ``send`` fail."""
        ...
