"""Reading request bodies: bounded in size and in time."""

import asyncio

from litestar.types import HTTPScope, Receive

from gateway.generation.errors import GatewayError, InvalidRequest, TooLarge

__all__ = ["ClientGone", "read_body"]

_BODY_SECONDS = 60.0


class ClientGone(Exception):
    """The client closed the connection before it had its answer."""


class _TooSlow(GatewayError):
    """The body did not arrive in time."""

    status = 408
    code = "request_timeout"
    client_may_retry = False


async def read_body(scope: HTTPScope, receive: Receive, limit: int) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: more than `limit` bytes, by the client's word or in fact.
        ClientGone: the connection closed before the body was whole.
    """
    _check_declared(scope, limit)
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            return await _read(receive, limit)
    except TimeoutError:
        raise _TooSlow("the request body did not arrive in time") from None


def _check_declared(scope: HTTPScope, limit: int) -> None:
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
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
