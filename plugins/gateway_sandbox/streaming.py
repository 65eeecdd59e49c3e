"""Server-sent events that never outlive their client."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
from litestar.types import Receive, Scope, Send

__all__ = ["EventStream"]

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]
_BREATHE_EVERY = 16


class EventStream:
    """An ASGI response of frames; it closes its source whenever and however it ends."""

    def __init__(self, first: bytes, rest: AsyncGenerator[bytes, None]) -> None:
        self._first = first
        self._rest = rest

    @classmethod
    async def primed(cls, frames: AsyncGenerator[bytes, None]) -> "EventStream":
        """Wait for the first frame, so that a refusal can still be an ordinary answer."""
        return cls(await anext(frames), frames)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the frames, cancel at the client's disconnect."""
        async with aclosing(self._rest), anyio.create_task_group() as tasks:
            tasks.start_soon(_cancel_on_disconnect, receive, tasks.cancel_scope)
            await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
            await self._send_all(send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            tasks.cancel_scope.cancel()

    async def _send_all(self, send: Send) -> None:
        await send({"type": "http.response.body", "body": self._first, "more_body": True})
        sent = 1
        async for frame in self._rest:
            await send({"type": "http.response.body", "body": frame, "more_body": True})
            sent += 1
            if sent % _BREATHE_EVERY == 0:
                await asyncio.sleep(0)  # lets a disconnect in, even if the source never waits


async def _cancel_on_disconnect(receive: Receive, scope: anyio.CancelScope) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    scope.cancel()
