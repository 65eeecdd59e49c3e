"""The gate in front of the routes: every request is written down, then let through, or struck by a fault."""

from ipaddress import ip_address
from typing import Any, cast

import msgspec
from litestar.types import ASGIApp, HTTPRequestEvent, HTTPScope, Receive, ReceiveMessage, Scope, Send

from .faults import OUTCOME_SCOPE_KEY, OUTCOMES, REPLIES, Fault, Faults, Reply
from .journal import Entry, Journal, read_request
from .protocol import socket_closer
from .wire import Wire, disturb, send_reply

__all__ = ["ACCOUNT_COOKIE", "ADMIN_PATH", "Gate"]

ACCOUNT_COOKIE = "acw_tc"

ADMIN_PATH = "/__sandbox__"
_TOO_LARGE = Reply(b'{"success":false,"data":{"code":"Bad_Request","details":"body too large"}}', 413)
_NOT_FOUND = Reply(b'{"detail":"Not Found"}', 404)


class Gate:
    """An ASGI application around the routes. They know nothing of journal and faults."""

    def __init__(self, app: ASGIApp, journal: Journal, faults: Faults, max_body: int) -> None:
        self._app = app
        self._journal = journal
        self._faults = faults
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        http = cast("HTTPScope", scope)  # the server speaks nothing else
        wire = Wire(receive, send, socket_closer(scope))
        body = await _read_body(receive, self._max_body)
        if body is None:
            await send_reply(wire, _TOO_LARGE)
        elif scope["path"].startswith(ADMIN_PATH):
            await self._administer(http, _replay(body, receive), wire)
        else:
            await self._serve(http, body, wire)

    async def _serve(self, scope: HTTPScope, body: bytes, wire: Wire) -> None:
        entry = read_request(scope, body)
        wire.cookie = _cookie(entry)
        fault = self._faults.take(entry)
        await self._journal.write(msgspec.structs.replace(entry, fault=fault.kind if fault else ""))
        if fault is not None and fault.kind in REPLIES:
            await send_reply(wire, REPLIES[fault.kind](fault))
            return
        await self._app(scope, _replay(body, wire.receive), _way_back(scope, wire, fault))

    async def _administer(self, scope: HTTPScope, receive: Receive, wire: Wire) -> None:
        client = scope["client"]
        if client is not None and ip_address(client[0]).is_loopback:
            await self._app(scope, receive, wire.send)
        else:
            await send_reply(wire, _NOT_FOUND)


def _cookie(entry: Entry) -> bytes:
    """Return a cookie that names the account, so that a client which mixes accounts gives itself away."""
    return f"{ACCOUNT_COOKIE}={entry.account}; Path=/".encode() if entry.account else b""


def _way_back(scope: HTTPScope, wire: Wire, fault: Fault | None) -> Send:
    if fault is None:
        return wire.send
    if fault.kind in OUTCOMES:
        cast("dict[str, Any]", scope)[OUTCOME_SCOPE_KEY] = OUTCOMES[fault.kind]
        return wire.send
    return disturb(wire, fault)


async def _read_body(receive: Receive, limit: int) -> bytes | None:
    """Return the whole body, or `None` if it is larger than the limit."""
    parts = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break
        parts += message["body"]
        if len(parts) > limit:
            return None
        more = message["more_body"]
    return bytes(parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body that was read, then whatever else comes."""
    first: list[HTTPRequestEvent] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> ReceiveMessage:
        return first.pop() if first else await receive()

    return again
