"""Videos: from the creation's answer to the finished file. Pure functions over the wire's JSON."""

import re
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from gateway.generation.events import Media, Usage
from gateway.plugin_api import TaskState, decode_json

from .errors import scrub
from .wire import ChatMessage, Creation, unwrap

__all__ = ["outline", "read_creation", "read_state", "task_ids"]

_SUCCESS = frozenset({"success", "succeeded", "completed", "finished"})
_RUNNING = frozenset({"running", "pending", "queued", "processing"})
_REFUSED = re.compile(r"data_?inspection|content (safety|security)|inappropriate content", re.IGNORECASE)


class _Found(msgspec.Struct, frozen=True):
    url: str | None = None
    video_url: str | None = None


class _Status(msgspec.Struct, frozen=True):
    task_status: str | None = None
    status: str | None = None
    message: str | None = None
    content: str | None = None
    result: str | _Found | None = None
    video_url: str | None = None
    duration: Any = None

    @property
    def url(self) -> str:
        """The address, in the places where clients of this wire have found it."""
        found = self.result if isinstance(self.result, _Found) else _Found()
        named = self.result if isinstance(self.result, str) else None
        return self.content or named or found.url or found.video_url or self.video_url or ""


_creation = msgspec.json.Decoder(Creation)
_status = msgspec.json.Decoder(_Status)


def read_creation(body: bytes) -> tuple[str, str]:
    """Return a creation's task id and message id, "" for what is missing. Raises `InvalidAnswer`.

    No other field is taken for the task id: a message id polled as one fails far from the cause.
    """
    inner, top = unwrap(body, _creation), decode_json(body, _creation)
    made = [*task_ids(inner.messages or ()), inner.task_id, top.task_id]
    return next(filter(None, made), ""), inner.message_id or ""


def task_ids(messages: Iterable[ChatMessage]) -> list[str]:
    """Return the task ids (`extra.wanx.task_id`) of all messages, in their order."""
    return [id_ for message in messages if (id_ := _task_id(message.extra))]


def read_state(body: bytes, is_private: Callable[[str], bool]) -> TaskState:
    """Return what a status says, flat or enveloped. Raises `InvalidAnswer`.

    An unknown word is a failure, as it is to the provider's own client.
    """
    status = unwrap(body, _status)
    word = (status.task_status or status.status or "").lower()
    if word in _RUNNING:
        return TaskState("running")
    if word not in _SUCCESS:
        return _failed(status.message or "")
    if not status.url:
        return TaskState("failed", error_code="media_missing", error_message="The video has no address.")
    video = Media("video", status.url, media_type="video/mp4", private=is_private(status.url))
    return TaskState("completed", media=(video,), usage=Usage(media=1, seconds=_seconds(status.duration)))


def outline(value: object) -> str:
    """Return a JSON value's shape, for the log: names of fields, never what they hold."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {outline(inner)}" for name, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(outline, value[:3])) + "]"
    return type(value).__name__


def _task_id(extra: Any) -> str:
    wanx = extra.get("wanx") if isinstance(extra, dict) else None
    task_id = wanx.get("task_id") if isinstance(wanx, dict) else None
    return task_id if isinstance(task_id, str) else ""


def _failed(message: str) -> TaskState:
    refused = _REFUSED.search(message) is not None
    code = "content_filter" if refused else "task_failed"
    return TaskState(
        "failed", error_code=code, error_message=scrub(message) or "The video could not be made."
    )


def _seconds(duration: Any) -> float:
    return float(duration) if isinstance(duration, int | float) and duration > 0 else 0.0
