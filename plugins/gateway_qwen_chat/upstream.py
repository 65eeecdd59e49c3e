"""The Qwen chat HTTP API as an upstream: text and pictures as streams, videos as tasks, files."""

import logging
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import ClassVar

import msgspec

from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import GenerationRequest, UpstreamFile
from gateway.generation.views import Model, StoredFile
from gateway.plugin_api import Account, Mode, Prepared, TaskState, UpstreamContext, UpstreamTask

from .client import Client
from .honoured import ignored_fields
from .janitor import Janitor
from .models import fallback_models, read_models
from .settings import QwenChatSettings
from .tasks import VideoTasks
from .turn import StreamedTurn
from .upload import Uploader
from .wire import RATIOS

__all__ = ["QwenChatUpstream"]

_log = logging.getLogger(__name__)

_MODES = {"t2t": Mode.STREAM, "t2i": Mode.STREAM, "t2v": Mode.TASK}


class QwenChatUpstream:
    """Speaks the Qwen chat wire. Every call gets its account; nothing of one is kept for another."""

    Settings: ClassVar[type[msgspec.Struct]] = QwenChatSettings

    def __init__(self, settings: QwenChatSettings, context: UpstreamContext) -> None:
        self._settings = settings
        self._client = Client(settings, context.transport, context.media_deadlines)
        self._videos = VideoTasks(self._client, settings)
        self._uploader = Uploader(self._client, context.transport)
        self._janitor = Janitor(self._client)

    @classmethod
    async def create(cls, settings: QwenChatSettings, context: UpstreamContext) -> "QwenChatUpstream":
        """Make the upstream; nothing is asked of the provider yet."""
        return cls(settings, context)

    def mode(self, request: GenerationRequest) -> Mode | None:
        """Serve text and pictures as streams, videos as tasks; several texts or odd sizes not at all."""
        several = request.chat_type == "t2t" and request.count > 1
        odd = request.chat_type != "t2t" and request.size not in RATIOS | {""}
        return None if several or odd else _MODES.get(request.chat_type)

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        """Return the fields that this wire has no place for."""
        return ignored_fields(request)

    async def models(self, account: Account) -> Sequence[Model]:
        """Ask for the list of models; while the provider does not tell, return the configured one."""
        try:
            return read_models(await self._client.call("GET", "/api/models", account))
        except GatewayError as error:
            _log.warning(
                "the provider does not tell its models (%s); the configured list is used", error.code
            )
            return fallback_models(self._settings.fallback_models)

    def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        """Yield one answer. Without a thread a chat is made first and named at once."""
        return StreamedTurn(self._client, self._settings, self._janitor, request, account).events(thread)

    async def prepare(self, request: GenerationRequest, account: Account, thread: Thread | None) -> Prepared:
        """Make the chat, or look at the caller's: free of charge, and enough to find the video again."""
        return await self._videos.prepare(request, account, thread)

    async def submit(self, request: GenerationRequest, prepared: Prepared, account: Account) -> UpstreamTask:
        """Order the video, once."""
        return await self._videos.submit(request, prepared, account)

    async def poll(self, task: UpstreamTask, account: Account) -> TaskState:
        """Ask how the video is."""
        return await self._videos.poll(task, account)

    async def reconcile(self, prepared: Prepared, account: Account) -> UpstreamTask | None:
        """Look for the order in its chat."""
        return await self._videos.reconcile(prepared, account)

    async def cancel(self, task: UpstreamTask, account: Account) -> bool:
        """Return False: the wire knows no way to stop a video."""
        return False

    async def upload(self, file: StoredFile, content: AsyncIterable[bytes], account: Account) -> UpstreamFile:
        """Put a file into the provider's storage, on the account whose chat will name it."""
        return await self._uploader.upload(file, content, account)

    async def aclose(self) -> None:
        """Finish the deletions that are under way."""
        await self._janitor.aclose()
