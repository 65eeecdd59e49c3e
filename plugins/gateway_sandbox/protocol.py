"""uvicorn's HTTP protocol, with a way to close the socket from inside the application."""

from collections.abc import Callable
from typing import Any, cast

from litestar.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

__all__ = ["ClosableProtocol", "socket_closer"]

_KEY = "gateway_sandbox.close"


class ClosableProtocol(HttpToolsProtocol):
    """Puts the transport's `close` into the scope: a provider's line may drop at any moment."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast("dict[str, Any]", self.scope)[_KEY] = self.transport.close


def socket_closer(scope: Scope) -> Callable[[], None]:
    """Return the function that closes the request's socket, after what was already sent."""
    return cast("Callable[[], None]", cast("dict[str, Any]", scope)[_KEY])
