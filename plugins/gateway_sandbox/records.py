"""The values that outlive a request: chats, messages, tasks, files, media."""

from typing import Any, ClassVar, Literal

import msgspec

__all__ = ["Attachment", "Chat", "File", "Media", "Message", "Outcome", "Record", "Task"]

Outcome = Literal["success", "failed", "never"]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A value with an identity, an owning account and a time of birth (seconds since the epoch)."""

    table: ClassVar[str] = ""
    id: str
    owner: str
    created: float

    @property
    def group(self) -> str:
        """The record it belongs to."""
        return ""

    @property
    def label(self) -> str:
        """What it is counted under."""
        return ""


class Chat(Record, frozen=True, kw_only=True):
    """One conversation of one account."""

    table: ClassVar[str] = "chat"
    title: str
    model: str
    chat_type: str
    mode: str

    @property
    def label(self) -> str:
        return self.mode


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file as a message carries it; `path` names the stored file if it is one of ours."""

    name: str
    kind: str
    media_type: str
    url: str
    path: str = ""
    size: int = 0


class Message(Record, frozen=True, kw_only=True):
    """One turn of a chat; an answer's `id` is the `response_id` of the wire."""

    table: ClassVar[str] = "message"
    chat_id: str
    parent_id: str | None
    role: Literal["user", "assistant"]
    content: str
    chat_type: str
    model: str
    done: bool = True
    attachments: tuple[Attachment, ...] = ()
    extra: dict[str, Any] = {}

    @property
    def group(self) -> str:
        return self.chat_id

    @property
    def label(self) -> str:
        return f"{self.role}:{self.chat_type}"


class Task(Record, frozen=True, kw_only=True):
    """A video in the making; its progress is the time since `created`."""

    table: ClassVar[str] = "task"
    chat_id: str
    message_id: str
    chat_type: str
    prompt: str
    media: str
    seconds: float
    outcome: Outcome = "success"

    @property
    def group(self) -> str:
        return self.chat_id

    def status(self, now: float) -> Literal["running", "success", "failed"]:
        """Return the state at wall-clock time `now`."""
        if self.outcome == "never" or now < self.created + self.seconds:
            return "running"
        return self.outcome


class File(Record, frozen=True, kw_only=True):
    """An upload and the temporary keys that may write it; `id` is its path `<uid>/<file id>_<name>`."""

    table: ClassVar[str] = "file"
    file_id: str
    name: str
    kind: str
    declared_size: int
    access_key_id: str
    access_key_secret: str
    security_token: str
    media_type: str = "application/octet-stream"
    size: int = -1


class Media(Record, frozen=True, kw_only=True):
    """A picture or a video as its recipe; `id` is its path, `key` the secret that opens it."""

    table: ClassVar[str] = "media"
    key: str
    kind: Literal["t2i", "t2v"]
    prompt: str
    digest: str
    seed: int
    width: int
    height: int
    source: str = ""

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.digest}"
