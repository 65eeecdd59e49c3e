"""Chats, files, models and lists in the native API's form."""

from typing import Literal

import msgspec

from gateway.dialects.media_urls import absolute_url
from gateway.dialects.native.answers import TaskStatusAnswer
from gateway.generation.views import Model, StoredFile

__all__ = [
    "ChatCreated",
    "FileUploaded",
    "NativeDeleted",
    "NativeModel",
    "NativeModelList",
    "TaskList",
    "write_file",
    "write_model",
]


class ChatCreated(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation that has begun."""

    success: bool = True
    chat_id: str = msgspec.field(name="chatId")


class NativeFile(msgspec.Struct, frozen=True):
    """An uploaded file: `size` in bytes, `type` its media type."""

    id: str
    name: str
    size: int
    type: str
    url: str


class FileUploaded(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to an upload; `id` or `file` may be given in a chat's `files`."""

    success: bool = True
    id: str
    image_url: str = msgspec.field(name="imageUrl")
    file: NativeFile


class NativeModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model and what it can do. `context_length` is in tokens, 0 when unknown."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    name: str
    description: str
    chat_types: tuple[str, ...]
    vision: bool
    context_length: int
    upstream: str


class NativeModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models; `data` and `models` are the same."""

    object: Literal["list"] = "list"
    data: list[NativeModel]
    models: list[NativeModel]


class TaskList(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tasks; ask for the next one with ``after`` = the last task's id."""

    object: Literal["list"] = "list"
    data: list[TaskStatusAnswer]
    has_more: bool


class NativeDeleted(msgspec.Struct, frozen=True, kw_only=True):
    """Something is gone."""

    success: bool = True
    id: str


def write_file(file: StoredFile, base_url: str) -> FileUploaded:
    """Write a file that has been uploaded."""
    url = absolute_url(file.url, base_url)
    inner = NativeFile(file.id, file.name, file.size, file.media_type, url)
    return FileUploaded(id=file.id, image_url=url, file=inner)


def write_model(model: Model) -> NativeModel:
    """Write a model."""
    return NativeModel(
        id=model.id,
        created=model.created,
        owned_by=model.owned_by,
        name=model.name or model.id,
        description=model.description,
        chat_types=model.chat_types,
        vision=model.vision,
        context_length=model.context_length,
        upstream=model.upstream,
    )
