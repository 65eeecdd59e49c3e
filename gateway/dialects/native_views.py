"""Chats, files, models and lists in the native API's form."""

from typing import Literal

import msgspec

from gateway.dialects.media_urls import absolute_url
from gateway.dialects.native_answers import TaskStatusAnswer
from gateway.generation.views import Deleted, Model, StoredFile

__all__ = [
    "CancelledTask",
    "ChatCreated",
    "FileUploaded",
    "NativeModel",
    "NativeModelList",
    "TaskList",
    "write_cancelled",
    "write_file",
    "write_model",
]


class ChatCreated(msgspec.Struct, frozen=True):
    """A conversation that has begun."""

    chat_id: str = msgspec.field(name="chatId")
    success: bool = True


class NativeFile(msgspec.Struct, frozen=True):
    """An uploaded file: `size` in bytes, `type` its media type."""

    id: str
    name: str
    size: int
    type: str
    url: str


class FileUploaded(msgspec.Struct, frozen=True):
    """The answer to an upload; `id` or `file` may be given in a chat's `files`."""

    id: str
    image_url: str = msgspec.field(name="imageUrl")
    file: NativeFile
    success: bool = True


class NativeModel(msgspec.Struct, frozen=True):
    """A model and what it can do. `context_length` is in tokens, 0 when unknown."""

    id: str
    created: int
    owned_by: str
    name: str
    description: str
    chat_types: tuple[str, ...]
    vision: bool
    context_length: int
    upstream: str
    object: Literal["model"] = "model"


class NativeModelList(msgspec.Struct, frozen=True):
    """All models; `data` and `models` are the same."""

    data: list[NativeModel]
    models: list[NativeModel]
    object: Literal["list"] = "list"


class TaskList(msgspec.Struct, frozen=True):
    """A page of tasks; ask for the next one with ``after`` = the last task's id."""

    data: list[TaskStatusAnswer]
    has_more: bool
    object: Literal["list"] = "list"


class CancelledTask(msgspec.Struct, frozen=True):
    """A task that goes on no longer."""

    task_id: str
    status: Literal["cancelled"] = "cancelled"
    success: bool = True


def write_file(file: StoredFile, base_url: str) -> FileUploaded:
    """Write a file that has been uploaded."""
    url = absolute_url(file.url, base_url)
    return FileUploaded(file.id, url, NativeFile(file.id, file.name, file.size, file.media_type, url))


def write_model(model: Model) -> NativeModel:
    """Write a model."""
    return NativeModel(
        model.id,
        model.created,
        model.owned_by,
        model.name or model.id,
        model.description,
        model.chat_types,
        model.vision,
        model.context_length,
        model.upstream,
    )


def write_cancelled(task: Deleted) -> CancelledTask:
    """Write a task that was cancelled."""
    return CancelledTask(task.id)
