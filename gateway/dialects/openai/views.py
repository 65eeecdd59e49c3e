"""Videos, models, files and lists in OpenAI's form."""

from typing import Any, Final, Generic, Literal, TypeVar

import msgspec

from gateway.dialects.sizes import video_pixels
from gateway.generation.results import Reply
from gateway.generation.views import Chat, Deleted, Model, Page, StoredFile, TaskView, View

__all__ = [
    "DeletedObject",
    "FileObject",
    "ModelList",
    "ModelObject",
    "ObjectList",
    "Video",
    "encode_view",
]

T = TypeVar("T")
VideoStatus = Literal["queued", "in_progress", "completed", "failed"]


class VideoError(msgspec.Struct, frozen=True):
    """Why a video was not made."""

    code: str
    message: str


class Video(msgspec.Struct, frozen=True, kw_only=True):
    """A video and how far it is. Times are unix seconds, `progress` is 0 to 100, `seconds` is text."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: VideoStatus
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: VideoError | None


class ModelObject(msgspec.Struct, frozen=True, kw_only=True):
    """A model that can be asked for."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


class FileObject(msgspec.Struct, frozen=True, kw_only=True):
    """An uploaded file. `bytes` is its size, times are unix seconds."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int | None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"


class DeletedObject(msgspec.Struct, frozen=True):
    """Something is gone."""

    id: str
    object: str
    deleted: bool = True


class ModelList(msgspec.Struct, frozen=True, kw_only=True):
    """All models; there are no pages."""

    object: Literal["list"] = "list"
    data: list[ModelObject]


class ObjectList(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list; ask for the next one with ``after`` = `last_id`."""

    object: Literal["list"] = "list"
    data: list[T]
    first_id: str | None
    last_id: str | None
    has_more: bool


_STATUS: Final[dict[str, VideoStatus]] = {
    "pending": "queued",
    "processing": "in_progress",
    "completed": "completed",
    "failed": "failed",
}
_DELETED: Final = {"video": "video.deleted", "task": "video.deleted"}
_DEFAULT_SECONDS: Final = 5


def encode_view(view: View, reply: Reply) -> bytes:
    """Write an object or a page of objects."""
    return msgspec.json.encode(_write(view))


def _write(view: View) -> Any:
    match view:
        case TaskView():
            return _write_video(view)
        case Model():
            return ModelObject(id=view.id, created=view.created, owned_by=view.owned_by)
        case StoredFile():
            return _write_file(view)
        case Deleted():
            return DeletedObject(view.id, _DELETED.get(view.kind, view.kind))
        case Chat():
            return {"id": view.id, "object": "chat"}
        case Page():
            return _write_page([_write(item) for item in view.items], view.more)


def _write_video(task: TaskView) -> Video:
    failed = task.status == "failed"
    return Video(
        id=task.id,
        model=task.model,
        status=_STATUS[task.status],
        progress=100 if task.status == "completed" else min(99, max(0, int(task.progress * 100))),
        created_at=int(task.created),
        completed_at=int(task.finished) if task.status == "completed" else None,
        expires_at=int(task.expires) or None,
        prompt=task.prompt,
        size=video_pixels(task.size),
        seconds=f"{task.seconds or _DEFAULT_SECONDS:g}",
        remixed_from_video_id=task.source_id or None,
        error=VideoError(task.error_code or "failed", task.error_message) if failed else None,
    )


def _write_file(file: StoredFile) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.size,
        created_at=int(file.created),
        expires_at=int(file.expires) or None,
        filename=file.name,
        purpose=file.purpose,
    )


def _write_page(data: list[Any], more: bool) -> ModelList | ObjectList[Any]:
    if data and isinstance(data[0], ModelObject):
        return ModelList(data=data)
    ids = [item.id for item in data]
    return ObjectList(
        data=data,
        first_id=ids[0] if ids else None,
        last_id=ids[-1] if ids else None,
        has_more=more,
    )
