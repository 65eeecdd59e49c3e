"""The bodies of the Qwen chat wire: what goes out, and what comes back as one JSON object."""

import time
import uuid
from typing import Any, TypeVar

import msgspec

from gateway.generation.events import Thread
from gateway.generation.requests import GenerationRequest, MediaPart, Thinking
from gateway.plugin_api import decode_json

from .files import file_entry
from .history import compose

__all__ = [
    "RATIOS",
    "Chat",
    "ChatMessage",
    "Created",
    "Creation",
    "completion_body",
    "new_chat_body",
    "unwrap",
    "wire_chat_type",
]

RATIOS = frozenset({"1:1", "3:4", "4:3", "16:9", "9:16"})
"""The sizes that the wire knows; pixel forms make it hang."""

T = TypeVar("T")

_encode = msgspec.json.Encoder().encode


class _NewChat(msgspec.Struct, frozen=True, kw_only=True):
    models: tuple[str, ...]
    chat_type: str
    timestamp: int
    title: str = "New Chat"
    chat_mode: str = "normal"
    project_id: str = ""


class _UserMessage(msgspec.Struct, frozen=True, kw_only=True):
    fid: str
    parent_id: str | None
    parent: str | None = msgspec.field(name="parentId")
    children: tuple[str, ...] = msgspec.field(name="childrenIds")
    content: str
    files: tuple[msgspec.Raw, ...]
    timestamp: int
    models: tuple[str, ...]
    chat_type: str
    sub_chat_type: str
    feature_config: dict[str, Any]
    extra: dict[str, Any]
    role: str = "user"
    user_action: str = "chat"


class _Completion(msgspec.Struct, frozen=True, kw_only=True):
    stream: bool
    chat_id: str
    model: str
    parent_id: str | None
    messages: tuple[_UserMessage]
    timestamp: int
    incremental_output: bool = True
    chat_mode: str = "normal"
    size: str | msgspec.UnsetType = msgspec.UNSET


class _Envelope(msgspec.Struct, frozen=True):
    data: msgspec.Raw = msgspec.Raw()


_envelope = msgspec.json.Decoder(_Envelope)


class Created(msgspec.Struct, frozen=True):
    """A chat that was made."""

    id: str = ""


class ChatMessage(msgspec.Struct, frozen=True):
    """A message as the provider keeps it; fields that nobody reads here are left out."""

    id: str | None = None
    role: str | None = None
    content: Any = None
    content_list: Any = None
    extra: Any = None


class _History(msgspec.Struct, frozen=True):
    messages: dict[str, ChatMessage] | None = None


class _ChatBody(msgspec.Struct, frozen=True):
    history: _History | None = None
    messages: tuple[ChatMessage, ...] | None = None


class Chat(msgspec.Struct, frozen=True):
    """A whole chat. The provider keeps its messages as a map, as a list, or as both."""

    chat: _ChatBody | None = None

    @property
    def messages(self) -> list[ChatMessage]:
        """All messages, each under its id where the provider names one."""
        body = self.chat or _ChatBody()
        kept = body.history.messages if body.history and body.history.messages else {}
        named = [msgspec.structs.replace(message, id=id_) for id_, message in kept.items()]
        return [*named, *(body.messages or ())]


class Creation(msgspec.Struct, frozen=True):
    """The answer to a video's creation."""

    messages: tuple[ChatMessage, ...] | None = None
    message_id: str | None = None
    task_id: str | None = None


def unwrap(body: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Read what an answer holds: in its `data` (v2), else at its top (v1). Raises `InvalidAnswer`."""
    inner = bytes(decode_json(body, _envelope).data)
    return decode_json(inner if inner.startswith(b"{") else body, decoder)


def wire_chat_type(request: GenerationRequest) -> str:
    """Return the wire's word: a video made from a picture is another chat type there."""
    pictured = any(
        isinstance(part, MediaPart) and part.kind == "image"
        for message in request.messages
        for part in message.content
    )
    return "i2v" if request.chat_type == "t2v" and pictured else request.chat_type


def new_chat_body(request: GenerationRequest) -> bytes:
    """Return the body that makes a chat for this request. The timestamp is in milliseconds."""
    chat = _NewChat(
        models=(request.model,), chat_type=wire_chat_type(request), timestamp=time.time_ns() // 1_000_000
    )
    return _encode(chat)


def completion_body(request: GenerationRequest, thread: Thread) -> bytes:
    """Return the body of one turn in the chat. The timestamps are in seconds.

    Raises `InvalidRequest` for an attachment that the provider cannot fetch and has not been given.
    """
    message = _user_message(request, thread)
    completion = _Completion(
        stream=request.chat_type != "t2v",
        chat_id=thread.chat,
        model=request.model,
        parent_id=thread.parent or None,
        messages=(message,),
        timestamp=message.timestamp,
        size=request.size or msgspec.UNSET,
    )
    return _encode(completion)


def _user_message(request: GenerationRequest, thread: Thread) -> _UserMessage:
    turn = compose(request, first=not thread.parent)
    chat_type = wire_chat_type(request)
    return _UserMessage(
        fid=str(uuid.uuid4()),
        parent_id=thread.parent or None,
        parent=thread.parent or None,
        children=(str(uuid.uuid4()),),
        content=turn.text,
        files=tuple(file_entry(part) for part in turn.attachments),
        timestamp=int(time.time()),
        models=(request.model,),
        chat_type=chat_type,
        sub_chat_type=chat_type,
        feature_config=_features(request),
        extra={"meta": _meta(request, chat_type)},
    )


def _meta(request: GenerationRequest, chat_type: str) -> dict[str, str]:
    sized = request.chat_type == "t2v" and request.size
    return {"subChatType": chat_type, **({"size": request.size} if sized else {})}


def _features(request: GenerationRequest) -> dict[str, Any]:
    thinking = request.thinking or Thinking()
    enabled = request.chat_type == "t2t" and _thinks(thinking)
    features: dict[str, Any] = {
        "thinking_enabled": enabled,
        "output_schema": "phase",
        "research_mode": "normal",
        "auto_thinking": False,
        "thinking_mode": "Thinking" if enabled else "Fast",
        "auto_search": False,
    }
    if enabled and thinking.budget is not None:
        features["thinking_budget"] = thinking.budget
    return features


def _thinks(thinking: Thinking) -> bool:
    """Whether the model is to reason: as asked for, else when a budget or an effort was named."""
    if thinking.enabled is not None:
        return thinking.enabled
    return bool(thinking.budget) or thinking.effort not in (None, "none")
