"""DashScope as an upstream: text and quick pictures as streams, the rest as tasks."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import ClassVar, Self

import msgspec
from msgspec.structs import replace

from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import Delivery, GenerationRequest
from gateway.generation.views import Model
from gateway.plugin_api import (
    Account,
    Mode,
    Prepared,
    TaskState,
    UpstreamContext,
    UpstreamTask,
    open_stream,
)
from gateway.plugin_api.openai_wire import encode_chat, stream_chat, unsent_by_chat
from gateway_dashscope.client import Client
from gateway_dashscope.orders import picture_now, unsent
from gateway_dashscope.results import read_pictures
from gateway_dashscope.settings import DashScopeSettings
from gateway_dashscope.storage import Storage, is_stored
from gateway_dashscope.tasks import Tasks

__all__ = ["DashScopeUpstream"]

_CHAT = "/compatible-mode/v1/chat/completions"
_LARGEST_EVENT = 16 * 2**20
_STREAMED = Delivery(stream=True)
"""Every chat is streamed: some models know nothing else, and some refuse to think otherwise."""


class DashScopeUpstream:
    """Speaks the official API of one region. It keeps no conversation: all of it is in the messages."""

    Settings: ClassVar[type[msgspec.Struct]] = DashScopeSettings

    def __init__(self, settings: DashScopeSettings, context: UpstreamContext) -> None:
        self._settings = settings
        self._name = context.name
        self._client = Client(settings, context.transport)
        self._storage = Storage(self._client, int(settings.inline_mb * 2**20))
        self._tasks = Tasks(self._client, settings, self._storage)
        self._media = settings.image_models.keys() | settings.video_models.keys()

    @classmethod
    async def create(cls, settings: DashScopeSettings, context: UpstreamContext) -> Self:
        """Make the upstream; nothing is asked of the provider yet."""
        return cls(settings, context)

    def mode(self, request: GenerationRequest) -> Mode | None:
        """Return how the model of the request works; a picture is queued where it must or may not wait."""
        match request.chat_type:
            case "t2t":
                return None if request.model in self._media else Mode.STREAM
            case "t2v":
                return Mode.TASK if request.model in self._settings.video_models else None
            case "t2i":
                return self._image_mode(request)
        return None

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        """Return the fields that this wire has no place for."""
        if request.chat_type == "t2t":
            return unsent_by_chat(request)
        image, film = self._settings.image_models, self._settings.video_models
        return unsent(request, (image if request.chat_type == "t2i" else film).get(request.model))

    async def models(self, account: Account) -> Sequence[Model]:
        """Return the configured models: the provider's own list leaves those of pictures and films out."""
        settings = self._settings
        offered = {"t2t": settings.text_models, "t2i": settings.image_models, "t2v": settings.video_models}
        return [
            Model(id=name, chat_types=(chat_type,), vision="-vl" in name, upstream=self._name)
            for chat_type, names in offered.items()
            for name in names
        ]

    def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        """Yield the events of one chat, or pictures that come with their answer."""
        if request.chat_type == "t2i":
            return self._draw(request, account)
        return self._show(request, account) if self._storage.wants(request) else self._talk(request, account)

    async def prepare(self, request: GenerationRequest, account: Account, thread: Thread | None) -> Prepared:
        """Check the order and store its large attachments, free of charge."""
        return await self._tasks.prepare(request, account)

    async def submit(self, request: GenerationRequest, prepared: Prepared, account: Account) -> UpstreamTask:
        """Order, once."""
        return await self._tasks.submit(request, prepared, account)

    async def poll(self, task: UpstreamTask, account: Account) -> TaskState:
        """Ask how the task is."""
        return await self._tasks.poll(task, account)

    async def reconcile(self, prepared: Prepared, account: Account) -> UpstreamTask | None:
        """Look for a lost order in the account's list."""
        return await self._tasks.reconcile(prepared, account)

    async def cancel(self, task: UpstreamTask, account: Account) -> bool:
        """Stop the task if it still waits."""
        return await self._tasks.cancel(task, account)

    async def aclose(self) -> None:
        """Release nothing: the transport is the gateway's."""

    def _image_mode(self, request: GenerationRequest) -> Mode | None:
        model = self._settings.image_models.get(request.model)
        if model is None:
            return None
        queued = model.task and (request.delivery.background or not model.sync)
        return Mode.TASK if queued else Mode.STREAM

    def _talk(self, request: GenerationRequest, account: Account) -> AsyncGenerator[AnyEvent, None]:
        call = open_stream(
            self._client.transport,
            "POST",
            self._client.url(_CHAT),
            headers=self._client.headers(account, stored=is_stored(request)),
            body=encode_chat(replace(request, delivery=_STREAMED), usage=True),
            deadlines=self._settings.text_deadlines,
        )
        return stream_chat(call, _LARGEST_EVENT)

    async def _show(self, request: GenerationRequest, account: Account) -> AsyncGenerator[AnyEvent, None]:
        """Talk about attachments that have to be stored first."""
        kept = await self._storage.keep_large(request, account)
        async with aclosing(self._talk(kept, account)) as events:
            async for event in events:
                yield event

    async def _draw(self, request: GenerationRequest, account: Account) -> AsyncGenerator[AnyEvent, None]:
        request = await self._storage.keep_large(request, account)
        order = picture_now(request, self._settings.image_models[request.model])
        body = await self._client.call(
            "POST",
            order.path,
            account,
            order.body,
            stored=is_stored(request),
            deadlines=self._settings.image_deadlines,
        )
        for event in read_pictures(body):
            yield event
