"""The upstream: one call out, events back."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import ClassVar, Self

import msgspec

from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import GenerationRequest
from gateway.generation.views import Model
from gateway.plugin_api import (
    Account,
    Allowance,
    Exchange,
    Fields,
    Mode,
    Secret,
    UpstreamContext,
    decode_json,
    open_stream,
)
from gateway.plugin_api.openai_wire import encode_chat, read_allowance, read_body, stream_chat, unsent_by_chat
from gateway_openai_compatible.images import encode_images, read_images, unsent_by_images
from gateway_openai_compatible.settings import OpenAICompatibleSettings

__all__ = ["OpenAICompatibleUpstream"]


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
        self._allowances: dict[tuple[str, str], Allowance] = {}
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
        return unsent_by_images(request) if request.chat_type == "t2i" else unsent_by_chat(request)

    async def models(self, account: Account) -> Sequence[Model]:
        """Return the configured models, else what the server lists."""
        if self._settings.models:
            return [self._model(_ListedModel(name)) for name in self._settings.models]
        async with self._open("GET", f"{self._base_url}/models", account) as exchange:
            listed = decode_json(await read_body(exchange), _MODELS)
        return [self._model(model) for model in listed.data]

    def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        """Yield the events of one chat completion, or of one image generation."""
        if request.chat_type == "t2i":
            return self._draw(request, account)
        body = encode_chat(request, usage=self._settings.stream_usage)
        call = self._open("POST", self._chat_url, account, body)
        note = partial(self._note, (account.id, request.chat_type))
        return stream_chat(call, self._settings.max_event_mb * 2**20, note)

    def allowance(self, account_id: str, chat_type: str) -> Allowance | None:
        """Return what the server told last of an account's limit of requests."""
        return self._allowances.get((account_id, chat_type))

    async def aclose(self) -> None:
        """Release nothing: the transport is the gateway's."""

    async def _draw(self, request: GenerationRequest, account: Account) -> AsyncGenerator[AnyEvent, None]:
        size = self._settings.image_sizes.get(request.size, "")
        body = encode_images(request, size)
        async with self._open("POST", f"{self._base_url}/images/generations", account, body) as exchange:
            self._note((account.id, request.chat_type), exchange)
            events = read_images(await read_body(exchange))
        for event in events:
            yield event

    def _note(self, whose: tuple[str, str], exchange: Exchange) -> None:
        told = read_allowance(exchange.headers, time.time())
        if told is not None:
            self._allowances[whose] = told

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
