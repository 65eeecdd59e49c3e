"""Objects that dialects show: tasks, models, stored files."""

from typing import Generic, Literal, TypeVar

import msgspec

from gateway.generation.events import Media, Usage

__all__ = ["Chat", "Deleted", "Model", "Page", "StoredFile", "TaskStatus", "TaskView", "View"]

TaskStatus = Literal["pending", "processing", "completed", "failed"]


class TaskView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A task as its owner may see it. Times are unix seconds, 0 for not yet; `progress` is 0 to 1.

    `text` is what was said, where a task says anything.
    """

    id: str
    status: TaskStatus
    chat_type: str
    model: str
    created: float
    updated: float
    finished: float = 0.0
    expires: float = 0.0
    progress: float = 0.0
    prompt: str = ""
    size: str = ""
    seconds: float | None = None
    media: tuple[Media, ...] = ()
    usage: Usage | None = None
    text: str = ""
    chat_id: str = ""
    source_id: str = ""
    error_code: str = ""
    error_message: str = ""


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A model that can be asked for. `context_length` is in tokens, 0 when unknown."""

    id: str
    created: int = 0
    owned_by: str = "qwen"
    name: str = ""
    description: str = ""
    chat_types: tuple[str, ...] = ("t2t",)
    vision: bool = False
    context_length: int = 0
    upstream: str = ""


class StoredFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file that a client uploaded. `size` is in bytes, times are unix seconds, `expires` 0 for never."""

    id: str
    owner: str
    name: str
    size: int
    media_type: str
    created: float
    purpose: str = "assistants"
    expires: float = 0.0
    url: str = ""


class Chat(msgspec.Struct, frozen=True):
    """A conversation that the gateway keeps, before or after its first turn."""

    id: str


class Deleted(msgspec.Struct, frozen=True):
    """Something is gone: `kind` is "file", "video" or "task"."""

    id: str
    kind: str


T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """A piece of a list, in the order that was asked for; `more` says whether it goes on."""

    items: tuple[T, ...]
    more: bool = False


View = TaskView | Model | StoredFile | Chat | Deleted | Page[TaskView] | Page[Model] | Page[StoredFile]
