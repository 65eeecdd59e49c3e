"""One chat completion, from the call to its events."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, suppress

from gateway.generation.errors import InvalidAnswer
from gateway.generation.events import AnyEvent
from gateway.plugin_api.http import Exchange, TransportError
from gateway.plugin_api.openai_wire.answers import ChatAnswer
from gateway.plugin_api.openai_wire.refusals import refuse_call
from gateway.plugin_api.sse import EventDecoder

__all__ = ["read_body", "stream_chat"]

_LAST_BYTES = 0.05  # seconds that the end of a body may take after its last event


async def stream_chat(
    call: AbstractAsyncContextManager[Exchange],
    max_event: int,
    note: Callable[[Exchange], None] | None = None,
) -> AsyncGenerator[AnyEvent, None]:
    """Open a call of ``POST /chat/completions`` and yield its events, whether it streams or not.

    `max_event` is the largest event of a stream in bytes: a picture may come inside one. `note` is shown
    the head of every answer.
    """
    async with call as exchange:
        if note is not None:
            note(exchange)
        answer = ChatAnswer()
        if _is_stream(exchange):
            decoder = EventDecoder(max_event)
            async for data in exchange:
                for frame in decoder.feed(data):
                    for event in answer.add(frame.data):
                        yield event
                if answer.done:
                    await _drain(exchange)
                    return
            frames = [frame.data for frame in decoder.close()]
        else:
            frames = _frames(await read_body(exchange))
        for last in frames:
            for event in answer.add(last):
                yield event
        if not answer.done:
            yield answer.finish()


def _is_stream(exchange: Exchange) -> bool:
    media_type = exchange.headers.get("content-type") or b""
    return exchange.status == 200 and media_type.startswith(b"text/event-stream")


async def read_body(exchange: Exchange) -> bytes:
    """Return the whole body of a good answer, raise what a bad one stands for."""
    body = await exchange.read()
    if exchange.status != 200:
        raise refuse_call(exchange.status, exchange.headers.text("retry-after"), body)
    return body


def _frames(body: bytes) -> list[bytes]:
    """Return the parts of a body whose media type does not say that it is a stream; it may be one."""
    if body.lstrip().startswith(b"{"):
        return [body]
    decoder = EventDecoder(len(body))
    frames = [frame.data for frame in (*decoder.feed(body), *decoder.close())]
    if not frames:
        raise InvalidAnswer("The provider answered with neither JSON nor events.", sent=True)
    return frames


async def _drain(exchange: Exchange) -> None:
    """Read the end of a body whose last event is out: only a whole answer leaves a usable connection."""
    if exchange.ended:
        return
    with suppress(TimeoutError, TransportError):
        async with asyncio.timeout(_LAST_BYTES):
            await exchange.read()
