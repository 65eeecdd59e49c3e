"""One HTTP exchange on the server's side, as the purpose handlers see it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import msgspec
from litestar.types import HTTPScope, Receive, Send

from gateway.dialects.base import Call, Dialect
from gateway.generation.requests import Caller
from gateway.generation.results import Reply
from gateway.generation.views import View
from gateway.media.blob import Blob
from gateway.telemetry.observation import Observation
from gateway.web.answers import JSON, Headers, send_blob, send_body, send_pieces
from gateway.web.auth import ClientKey

__all__ = ["Exchange", "Handler"]


class Exchange(msgspec.Struct, frozen=True, gc=False):
    """What came in, who sent it, and where the answer goes; `task` is the one that serves it."""

    task: asyncio.Task[Any]
    scope: HTTPScope
    receive: Receive
    send: Send
    dialect: Dialect
    call: Call
    caller: Caller
    key: ClientKey
    observed: Observation

    def answer_view(
        self, view: View, *, reply: Reply | None = None, headers: Headers = JSON
    ) -> Awaitable[None]:
        """Answer with an object or a page of objects in the dialect's shape."""
        return self.answer_body(self.dialect.encode_view(view, reply or self.plain_reply()), headers)

    def answer_body(self, body: bytes, headers: Headers = JSON) -> Awaitable[None]:
        """Answer 200 with a whole body."""
        return send_body(self.send, 200, body, headers)

    def answer_pieces(self, pieces: Iterable[bytes | Blob], headers: Headers = JSON) -> Awaitable[None]:
        """Answer 200 with a body that has blobs in it, as base64."""
        return send_pieces(self.send, pieces, headers)

    def answer_blob(self, blob: Blob, headers: Headers = ()) -> Awaitable[None]:
        """Answer with a file."""
        return send_blob(self.scope, self.send, blob, headers)

    def plain_reply(self) -> Reply:
        """Return what an encoder needs for an object that is no generation."""
        return Reply(
            id="", created=0, model="", base_url=self.caller.base_url, request_id=self.caller.request_id
        )


Handler = Callable[[Exchange], Awaitable[None]]
"""Serves one purpose; raises a `GatewayError` to answer with it."""
