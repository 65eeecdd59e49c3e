"""One streamed answer: a chat if there is none, the call, second chances, events."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from itertools import chain

from gateway.generation.errors import AnswerCut, GatewayError, InvalidAnswer, UpstreamTimeout
from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Account, EventDecoder, Exchange, ServerSentEvent, TransportError

from .client import Client
from .janitor import Janitor
from .pictures import find_pictures
from .reader import AnswerReader
from .recovery import Recovery
from .settings import QwenChatSettings

__all__ = ["StreamedTurn"]

_log = logging.getLogger(__name__)

_GRACE = 15.0
"""Seconds to wait for a next frame once the answer is over: another picture may still be on its way."""


class StreamedTurn:
    """One request on its way to its answer."""

    def __init__(
        self,
        client: Client,
        settings: QwenChatSettings,
        janitor: Janitor,
        request: GenerationRequest,
        account: Account,
    ) -> None:
        self._client = client
        self._settings = settings
        self._janitor = janitor
        self._request = request
        self._account = account
        self._made: list[str] = []

    async def events(self, thread: Thread | None) -> AsyncGenerator[AnyEvent, None]:
        """Yield the answer's events. Without a thread a chat is made first, and named at once.

        A refusal before the first event may get a second chance.
        """
        recovery = Recovery(None if thread else self._new_chat, self._settings.busy_waits)
        named = thread.chat if thread else ""
        begun = False
        try:
            place = thread or await self._new_chat()
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
        finally:
            self._tidy()

    async def _new_chat(self) -> Thread:
        thread = await self._client.new_chat(self._request, self._account)
        self._made.append(thread.chat)
        return thread

    def _tidy(self) -> None:
        """Have the chats deleted that no conversation will go on in, if so configured."""
        if self._settings.delete_chats and self._request.continuation is None:
            self._janitor.dispose(self._made, self._account)

    async def _answer(self, place: Thread) -> AsyncGenerator[AnyEvent, None]:
        reader = AnswerReader(self._request, place.chat, self._settings.is_private)
        decoder = EventDecoder()
        try:
            async with self._client.stream(self._request, place, self._account) as (data, exchange):
                while data:
                    for event in _events(reader, decoder.feed(data)):
                        yield event
                    data = await _next_piece(exchange, over=reader.finished)
            for event in chain(_events(reader, decoder.close()), reader.close()):
                yield event
        except (AnswerCut, InvalidAnswer, UpstreamTimeout):
            found = await self._stored_pictures(place, reader)
            if not found:
                raise
            for event in reader.recover(found):
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
    """Read lazily: what came before an error is passed on before the error is raised."""
    return chain.from_iterable(reader.read(frame.data) for frame in frames)


async def _next_piece(exchange: Exchange, *, over: bool) -> bytes:
    """Return what came next, b"" at the end. Nothing that happens after the answer's end can spoil it."""
    if exchange.ended:
        return b""
    if not over:
        return await anext(exchange, b"")
    try:
        async with asyncio.timeout(_GRACE):
            return await anext(exchange, b"")
    except (TimeoutError, TransportError):
        return b""
