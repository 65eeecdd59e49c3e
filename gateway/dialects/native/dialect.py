"""The gateway's own API under ``/api``."""

from collections.abc import Iterable
from typing import Any

import msgspec

from gateway.dialects.base import Call, FrameEncoder, MediaRef, Purpose, Route
from gateway.dialects.native.answers import (
    AcceptedTask,
    NativeAnswer,
    TaskStatusAnswer,
    encode_answer,
    write_accepted,
    write_status,
)
from gateway.dialects.native.body import NativeChat, NativeGeneration, read_chat, read_generation
from gateway.dialects.native.errors import encode_error
from gateway.dialects.native.frames import NativeFrameEncoder, ProgressFrame
from gateway.dialects.native.views import (
    ChatCreated,
    FileUploaded,
    NativeDeleted,
    NativeModel,
    NativeModelList,
    TaskList,
    write_file,
    write_model,
)
from gateway.dialects.uploads import UploadForm
from gateway.generation.errors import GatewayError
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import GenerationResult, Reply
from gateway.generation.views import Chat, Deleted, Model, Page, StoredFile, TaskView, View

__all__ = ["NativeDialect"]


class NativeDialect:
    """POST /api/chat and everything around it."""

    name = "native"
    routes = (
        Route(
            "POST",
            "/api/chat",
            Purpose.GENERATE,
            "Generate text, pictures or a film",
            NativeGeneration,
            NativeAnswer | AcceptedTask,
        ),
        Route("POST", "/api/chats", Purpose.CHAT_CREATE, "Begin a conversation", NativeChat, ChatCreated),
        Route("GET", "/api/tasks/status/{id}", Purpose.TASK_GET, "Look at a task", None, TaskStatusAnswer),
        Route("GET", "/api/tasks/events/{id}", Purpose.TASK_EVENTS, "Watch a task", None, ProgressFrame),
        Route("GET", "/api/tasks", Purpose.TASK_LIST, "List tasks, the newest first", None, TaskList),
        Route("DELETE", "/api/tasks/{id}", Purpose.TASK_CANCEL, "Cancel a task", None, TaskStatusAnswer),
        Route("GET", "/api/models", Purpose.MODEL_LIST, "List the models", None, NativeModelList),
        Route(
            "POST",
            "/api/files/upload",
            Purpose.FILE_CREATE,
            "Upload a file",
            UploadForm,
            FileUploaded,
            forms=True,
        ),
    )

    def decode(self, call: Call) -> GenerationRequest:
        """Read a request for something, or a conversation to begin; raises `InvalidRequest`."""
        if call.route.purpose is Purpose.CHAT_CREATE:
            return read_chat(call.body)
        return read_generation(call.body)

    def encoder(self, request: GenerationRequest, reply: Reply) -> FrameEncoder:
        """Return an encoder of chat chunks, progress and final objects."""
        return NativeFrameEncoder(request, reply)

    def encode_result(
        self, request: GenerationRequest, reply: Reply, result: GenerationResult
    ) -> Iterable[bytes | MediaRef]:
        """Write a whole answer."""
        yield encode_answer(request, reply, result)

    def encode_view(self, view: View, reply: Reply) -> bytes:
        """Write an object or a page; a task that has just been made is written in its own form."""
        return msgspec.json.encode(_write(view, reply))

    def encode_error(self, error: GatewayError, request_id: str) -> bytes:
        """Write an error body."""
        return encode_error(error, request_id)


def _write(view: View, reply: Reply) -> Any:
    match view:
        case TaskView():
            return write_accepted(view, reply) if reply.id else write_status(view, reply.base_url)
        case Model():
            return write_model(view)
        case StoredFile():
            return write_file(view, reply.base_url)
        case Chat():
            return ChatCreated(chat_id=view.id)
        case Deleted():
            return NativeDeleted(id=view.id)
        case Page():
            return _write_page(view, reply)


def _write_page(page: Page[Any], reply: Reply) -> TaskList | NativeModelList:
    data = [_write(item, msgspec.structs.replace(reply, id="")) for item in page.items]
    if data and isinstance(data[0], NativeModel):
        return NativeModelList(data=data, models=data)
    return TaskList(data=data, has_more=page.more)
