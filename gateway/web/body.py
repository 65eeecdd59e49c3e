"""Reading request bodies: bounded in size and in time."""

import asyncio
from collections.abc import Mapping
from typing import Any

from litestar.types import Receive

from gateway.generation.errors import GatewayError, InvalidRequest, TooLarge
from gateway.transport import TimeoutQueue

__all__ = ["ClientGone", "RequestBodies"]

_SECONDS = 60.0


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


class _TooSlow(GatewayError):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"
    client_may_retry = False


class RequestBodies:
    """Reads whole bodies; one that has not come within `seconds` is given up."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._timeouts = TimeoutQueue[asyncio.Task[Any]](seconds / 2, self._stop)
        self._late: set[asyncio.Task[Any]] = set()

    async def read(
        self, reader: asyncio.Task[Any], headers: Mapping[bytes, bytes], receive: Receive, limit: int
    ) -> bytes:
        """Return the whole body to `reader`, the present task; header names are in lower case.

        Raises:
            TooLarge: more than `limit` bytes, by the client's word or in fact.
            ClientGone: the connection closed before the body was whole.
        """
        _check_declared(headers.get(b"content-length", b"0"), limit)
        self._timeouts.add(reader)
        try:
            return await _read(receive, limit)
        except asyncio.CancelledError:
            if reader in self._late and not reader.uncancel():
                raise _TooSlow("the request body did not arrive in time") from None
            raise
        finally:
            self._timeouts.discard(reader)
            self._late.discard(reader)

    def _stop(self, reader: asyncio.Task[Any]) -> None:
        self._late.add(reader)
        reader.cancel()


def _check_declared(declared: bytes, limit: int) -> None:
    if not declared.isdigit():
        raise InvalidRequest("content-length is not a number")
    if int(declared) > limit:
        raise _too_large(limit)


async def _read(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientGone
        chunk = message["body"]
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return chunk if not chunks else b"".join([*chunks, chunk])
        chunks.append(chunk)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request body is over the limit of {limit // 2**20} MB")
