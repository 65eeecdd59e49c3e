"""The upstream: one call out, events back."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import ClassVar, Self

import msgspec

from gateway.generation.errors import InvalidAnswer
from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import GenerationRequest
from gateway.generation.views import Model
from gateway.plugin_api import (
    Account,
    EventDecoder,
    Exchange,
    Fields,
    Mode,
    Secret,
    TransportError,
    UpstreamContext,
    decode_json,
    open_stream,
)
from gateway_openai_compatible.answers import ChatAnswer
from gateway_openai_compatible.images import read_images
from gateway_openai_compatible.refusals import refuse_call
from gateway_openai_compatible.requests import encode_chat, encode_images, unsent
from gateway_openai_compatible.settings import OpenAICompatibleSettings

__all__ = ["OpenAICompatibleUpstream"]

_LAST_BYTES = 0.05  # seconds that the end of a body may take after its last event


class _ListedModel(msgspec.Struct):
    id: str
    created: int | None = None
    owned_by: str | None = None
    context_length: int | None = None
    max_model_len: int | None = None


class _ModelList(msgspec.Struct):
    data: list[_ListedModel]


_MODELS = msgspec.json.Decoder(_ModelList)


class OpenAICompatibleUpstream:
    """A server that speaks OpenAI's wire and keeps nothing: all of a conversation is in its messages."""

    Settings: ClassVar[type[msgspec.Struct]] = OpenAICompatibleSettings

    def __init__(self, settings: OpenAICompatibleSettings, context: UpstreamContext) -> None:
        self._settings = settings
        self._transport = context.transport
        self._name = context.name
        self._base_url = settings.base_url.rstrip("/")
        self._chat_url = f"{self._base_url}/chat/completions"
        self._deadlines = settings.deadlines
        self._models = frozenset(settings.models)
        self._fields: dict[str, tuple[Secret, Fields]] = {}

    @classmethod
    async def create(cls, settings: OpenAICompatibleSettings, context: UpstreamContext) -> Self:
        """Make an upstream; nothing is sent before the first call."""
        return cls(settings, context)

    def mode(self, request: GenerationRequest) -> Mode | None:
        """Return `Mode.STREAM` for what the settings offer."""
        settings = self._settings
        served = (
            request.chat_type in settings.chat_types
            and (not self._models or request.model in self._models)
            and (settings.tools or not request.tools)
        )
        return Mode.STREAM if served else None

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        """Return the fields that this wire has no place for."""
        return unsent(request)

    async def models(self, account: Account) -> Sequence[Model]:
        """Return the configured models, else what the server lists."""
        if self._settings.models:
            return [self._model(_ListedModel(name)) for name in self._settings.models]
        async with self._open("GET", f"{self._base_url}/models", account) as exchange:
            listed = decode_json(await _read(exchange), _MODELS)
        return [self._model(model) for model in listed.data]

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        """Yield the events of one chat completion, or of one image generation."""
        if request.chat_type == "t2i":
            for event in await self._draw(request, account):
                yield event
            return
        body = encode_chat(request, usage=self._settings.stream_usage)
        async with self._open("POST", self._chat_url, account, body) as exchange:
            answer = ChatAnswer()
            if _is_stream(exchange):
                decoder = EventDecoder(self._settings.max_event_mb * 2**20)
                async for data in exchange:
                    for frame in decoder.feed(data):
                        for event in answer.add(frame.data):
                            yield event
                    if answer.done:
                        await _drain(exchange)
                        return
                frames = [frame.data for frame in decoder.close()]
            else:
                frames = _frames(await _read(exchange))
            for last in frames:
                for event in answer.add(last):
                    yield event
            if not answer.done:
                yield answer.finish()

    async def aclose(self) -> None:
        """Release nothing: the transport is the gateway's."""

    async def _draw(self, request: GenerationRequest, account: Account) -> list[AnyEvent]:
        size = self._settings.image_sizes.get(request.size, "")
        body = encode_images(request, size)
        async with self._open("POST", f"{self._base_url}/images/generations", account, body) as exchange:
            return read_images(await _read(exchange))

    def _open(
        self, method: str, url: str, account: Account, body: bytes = b""
    ) -> AbstractAsyncContextManager[Exchange]:
        return open_stream(
            self._transport,
            method,
            url,
            headers=self._headers(account),
            body=body,
            deadlines=self._deadlines,
        )

    def _headers(self, account: Account) -> Fields:
        """Return the account's header fields, made once for each secret that it has had."""
        known = self._fields.get(account.id)
        if known is None or known[0] is not account.secret:
            known = self._fields[account.id] = (account.secret, self._make_headers(account.secret))
        return known[1]

    def _make_headers(self, secret: Secret) -> Fields:
        fields = {"content-type": "application/json", "accept": "text/event-stream, application/json"}
        if secret:
            fields["authorization"] = f"Bearer {secret.reveal()}"
        fields |= {name.lower(): value for name, value in self._settings.headers.items()}
        return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items())

    def _model(self, listed: _ListedModel) -> Model:
        return Model(
            id=listed.id,
            created=listed.created or 0,
            owned_by=listed.owned_by or self._name,
            chat_types=self._settings.chat_types,
            context_length=listed.context_length or listed.max_model_len or 0,
            upstream=self._name,
        )


def _is_stream(exchange: Exchange) -> bool:
    media_type = exchange.headers.get("content-type") or b""
    return exchange.status == 200 and media_type.startswith(b"text/event-stream")


async def _read(exchange: Exchange) -> bytes:
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
    with suppress(TimeoutError, TransportError):
        async with asyncio.timeout(_LAST_BYTES):
            await exchange.read()
