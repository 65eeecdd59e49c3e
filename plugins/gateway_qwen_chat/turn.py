"""One streamed answer: a chat if there is none, the call, second chances, events."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import chain

from gateway.generation.errors import AnswerCut, EmptyAnswer, GatewayError, UpstreamTimeout
from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Account, EventDecoder, Exchange, ServerSentEvent, TransportError

from .client import Client
from .pictures import find_pictures
from .reader import AnswerReader
from .recovery import Recovery
from .settings import QwenChatSettings

__all__ = ["StreamedTurn"]

_log = logging.getLogger(__name__)

_GRACE = 15.0
"""Seconds to wait for a next frame once the answer is over: another picture may still be on its way."""


class StreamedTurn:
    """One request on its way to its answer.

    `made` names the chats that were made for it, whatever becomes of them.
    """

    def __init__(
        self, client: Client, settings: QwenChatSettings, request: GenerationRequest, account: Account
    ) -> None:
        self._client = client
        self._settings = settings
        self._request = request
        self._account = account
        self.made: list[str] = []

    async def events(self, thread: Thread | None) -> AsyncGenerator[AnyEvent, None]:
        """Yield the answer's events; a refusal before the first one may get a second chance."""
        place = thread or await self._new_chat()
        named = thread.chat if thread else ""
        recovery = Recovery(None if thread else self._new_chat, self._settings.busy_waits)
        begun = False
        while True:
            if place.chat != named:
                named = place.chat
                yield place
            try:
                async with aclosing(self._answer(place)) as events:
                    async for event in events:
                        begun = begun or not isinstance(event, Thread)
                        yield event
                return
            except GatewayError as error:
                if begun:
                    raise
                place = await recovery.after(error, place)

    async def _new_chat(self) -> Thread:
        thread = await self._client.new_chat(self._request, self._account)
        self.made.append(thread.chat)
        return thread

    async def _answer(self, place: Thread) -> AsyncGenerator[AnyEvent, None]:
        reader = AnswerReader(self._request, place.chat, self._settings.is_private)
        try:
            async with aclosing(self._frames(place, reader)) as events:
                async for event in events:
                    yield event
        except (AnswerCut, EmptyAnswer, UpstreamTimeout):
            found = await self._stored_pictures(place, reader)
            if not found:
                raise
            for event in reader.recover(found):
                yield event

    async def _frames(self, place: Thread, reader: AnswerReader) -> AsyncGenerator[AnyEvent, None]:
        decoder = EventDecoder()
        async with self._client.stream(self._request, place, self._account) as (head, exchange):
            data = head
            while data:
                for event in _events(reader, decoder.feed(data)):
                    yield event
                data = await _next_piece(exchange, over=reader.finished)
        for event in chain(_events(reader, decoder.close()), reader.close()):
            yield event

    async def _stored_pictures(self, place: Thread, reader: AnswerReader) -> list[str]:
        """Look a lost picture up in the chat: it was made, and counts against the account's few."""
        if self._request.chat_type != "t2i" or reader.has_pictures or not reader.response_id:
            return []
        try:
            messages = await self._client.messages(place.chat, self._account)
        except GatewayError as error:
            _log.warning("a lost picture could not be looked up: %s", error.code)
            return []
        return find_pictures(messages, reader.response_id)


def _events(reader: AnswerReader, frames: Sequence[ServerSentEvent]) -> Iterator[AnyEvent]:
    return chain.from_iterable(reader.read(frame.data) for frame in frames)


async def _next_piece(exchange: Exchange, *, over: bool) -> bytes:
    """Return what came next, b"" at the end. Nothing that happens after the answer's end can spoil it."""
    if not over:
        return await anext(exchange, b"")
    try:
        async with asyncio.timeout(_GRACE):
            return await anext(exchange, b"")
    except (TimeoutError, TransportError):
        return b""
