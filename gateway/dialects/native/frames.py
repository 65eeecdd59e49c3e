"""The native API's streams: chat chunks for text, progress and one final object for pictures and films."""

from typing import Literal

import msgspec

from gateway.dialects.frames import DONE, frame
from gateway.dialects.native.answers import encode_answer
from gateway.dialects.native.errors import encode_error
from gateway.dialects.openai.chat_chunks import ChatChunkEncoder
from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Finish, Media, Progress, TaskAccepted, Usage
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import Reply, Sum

__all__ = ["NativeFrameEncoder", "ProgressFrame"]


class ProgressFrame(msgspec.Struct, frozen=True, kw_only=True):
    """How far the work is: `progress` is 0 to 100. `task_id` is "" while no task was made."""

    id: str
    object: Literal["chat.completion.progress"] = "chat.completion.progress"
    created: int
    model: str
    task_id: str
    status: Literal["processing"] = "processing"
    progress: int
    stage: str
    chat_id: str = msgspec.field(name="chatId")


class NativeFrameEncoder(ChatChunkEncoder):
    """Writes text as chat chunks; pictures and films as progress, and the whole answer as the last frame."""

    def __init__(self, request: GenerationRequest, reply: Reply) -> None:
        edge = {"chatId": reply.chat_id, "parentId": reply.parent_id or reply.id}
        super().__init__(request, reply, reply.id, edge)
        self._media = Sum()
        self._has_media = False
        self._task_id = ""

    def _encode_rare(self, event: AnyEvent) -> bytes:
        match event:
            case TaskAccepted():
                self._task_id = event.task_id
                self._media.add(event)
                return self._encode_progress(Progress(0.0))
            case Progress():
                return self._encode_progress(event)
            case Media() if not self._text_starts:
                self._media.add(event)
                self._has_media = True
                return b""
            case Usage():
                self._media.add(event)
            case Finish() if self._has_media:
                self._media.add(event)
                return self._close(self._encode_answer() + DONE)
        return super()._encode_rare(event)

    def _encode_progress(self, event: Progress) -> bytes:
        progress = ProgressFrame(
            id=self._task_id or self._reply.id,
            created=self._reply.created,
            model=self._reply.model,
            task_id=self._task_id,
            progress=min(99, max(0, int(event.fraction * 100))),
            stage=event.stage,
            chat_id=self._reply.chat_id,
        )
        return frame(msgspec.json.encode(progress))

    def _encode_answer(self) -> bytes:
        return frame(encode_answer(self._request, self._reply, self._media.result()))

    def _error_body(self, error: GatewayError) -> bytes:
        return encode_error(error, self._reply.request_id)
