"""The body of ``POST /api/chat``: strict, with camelCase names and their snake_case twins."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Final, TypeVar

import msgspec

from gateway.dialects.json_body import BodyReader, read_extra, read_object
from gateway.dialects.openai.chat_body import (
    ChatMessage,
    ChatOptions,
    ToolChoiceField,
    read_delivery,
    read_messages,
    read_response_format,
    read_sampling,
    read_thinking,
    read_tool_choice,
    read_tools,
)
from gateway.dialects.parts import Content, media_part, read_content
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import (
    Continuation,
    Delivery,
    GenerationRequest,
    MediaPart,
    Message,
    TextPart,
)

__all__ = ["NativeChat", "NativeGeneration", "read_chat", "read_generation"]


class NativeGeneration(ChatOptions, frozen=True, kw_only=True, rename="camel"):
    """One request for text, pictures or a film: either `message` or `messages`, and `chatType`.

    camelCase fields are also taken in snake_case. A field that is not listed is refused.
    """

    message: Content = None
    messages: list[ChatMessage] | None = None
    system_message: str | None = None
    chat_type: str | None = None
    size: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    chat_id: str | None = None
    parent_id: str | None = None
    new_chat: bool | None = None
    wait_for_completion: bool | None = None
    as_task: bool | None = msgspec.field(name="async", default=None)
    files: list[str | dict[str, Any]] | None = None
    tool_choice: ToolChoiceField = None
    user: Any = None
    metadata: dict[str, Any] | None = None


class NativeChat(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A conversation to begin."""

    name: str | None = None
    model: str | None = None
    chat_type: str | None = None


_generation: Final = BodyReader(NativeGeneration)
_chat: Final = BodyReader(NativeChat)
_TWINS: Final = {
    "chat_type": "chatType",
    "chat_id": "chatId",
    "parent_id": "parentId",
    "new_chat": "newChat",
    "wait_for_completion": "waitForCompletion",
    "system_message": "systemMessage",
    "tool_choice": "toolChoice",
}
_UNDERSTOOD: Final = _generation.fields - {"user", "metadata", "chat_template_kwargs"}
_DEFAULT_CHAT_TYPE: Final = "t2t"

T = TypeVar("T", bound=msgspec.Struct)


def read_generation(body: bytes) -> GenerationRequest:
    """Read a request for something; raises `InvalidRequest`."""
    fields, chat = _read(_generation, body)
    continuation = _read_continuation(chat)
    # A chat that goes on has a chat type of its own.
    default = "" if continuation.chat_id else _DEFAULT_CHAT_TYPE
    return GenerationRequest(
        chat_type=chat.chat_type or default,
        messages=_read_history(chat),
        model=chat.model or "",
        size=chat.size or "",
        count=chat.n or 1,
        tools=read_tools([tool.function for tool in chat.tools]) if chat.tools else (),
        tool_choice=read_tool_choice(chat.tool_choice) if chat.tools else None,
        response_format=read_response_format(chat),
        sampling=read_sampling(chat),
        thinking=read_thinking(chat),
        continuation=continuation,
        delivery=_read_delivery(chat),
        extra=read_extra(fields, _UNDERSTOOD),
    )


def read_chat(body: bytes) -> GenerationRequest:
    """Read a conversation to begin: a request without messages; its name is in `extra`."""
    _, chat = _read(_chat, body or b"{}")
    return GenerationRequest(
        chat_type=chat.chat_type or _DEFAULT_CHAT_TYPE,
        messages=(),
        model=chat.model or "",
        continuation=Continuation(),
        extra={"name": chat.name} if chat.name else {},
    )


def _read(reader: BodyReader[T], body: bytes) -> tuple[Mapping[str, msgspec.Raw], T]:
    fields = read_object(body)
    if not reader.fields >= fields.keys():
        fields = _merge_twins(fields)
        _refuse_unknown(fields, reader.fields)
        body = msgspec.json.encode(fields)
    return fields, reader.read(body)


def _merge_twins(fields: Mapping[str, msgspec.Raw]) -> dict[str, msgspec.Raw]:
    """Give every field its camelCase name; both names may be given only with one value."""
    merged: dict[str, msgspec.Raw] = {}
    for name, value in fields.items():
        known = _TWINS.get(name, name)
        if bytes(merged.setdefault(known, value)) != bytes(value):
            raise InvalidRequest(f"{known} and its snake_case twin differ", param=known)
    return merged


def _refuse_unknown(fields: Mapping[str, Any], known: frozenset[str]) -> None:
    for name in fields:
        if name in known:
            continue
        short = name[:64]
        nearest = get_close_matches(short, sorted(known), 1, 0.5)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise InvalidRequest(f"Unknown field {short!r}{hint}", param=short)


def _read_history(chat: NativeGeneration) -> tuple[Message, ...]:
    if (chat.message is None) == (chat.messages is None):
        raise InvalidRequest("Give either message or messages", param="message")
    if chat.messages is not None:
        history = read_messages(chat.messages)
    else:
        history = (Message("user", _read_message(chat.message)),)
    if chat.files:
        history = _attach(history, chat.files)
    if chat.system_message:
        history = (Message("system", (TextPart(chat.system_message),)), *history)
    return history


def _read_message(message: Content) -> tuple[Any, ...]:
    if not message:
        raise InvalidRequest("message must not be empty", param="message")
    return read_content(message, "message")


def _attach(history: tuple[Message, ...], files: list[str | dict[str, Any]]) -> tuple[Message, ...]:
    """Add uploaded files to the last message."""
    parts = tuple(_read_file(file, f"files[{index}]") for index, file in enumerate(files))
    last = history[-1]
    return (*history[:-1], msgspec.structs.replace(last, content=last.content + parts))


def _read_file(file: str | dict[str, Any], path: str) -> MediaPart:
    """Read a file's id, or the upload route's answer (or the `file` in it)."""
    if isinstance(file, str):
        return MediaPart("file", file_id=file)
    inner = file.get("file", file)
    if not isinstance(inner, dict):
        raise InvalidRequest(f"{path}.file must be an object", param=f"{path}.file")
    media_type, file_id = inner.get("type", ""), inner.get("id")
    if not isinstance(media_type, str) or not isinstance(file_id, str | None):
        raise InvalidRequest(f"{path}: id and type must be text", param=path)
    kind, _, _ = media_type.partition("/")
    part = media_part("file", {"file_id": file_id, "name": inner.get("name")} if file_id else inner, path)
    return msgspec.structs.replace(
        part, kind=kind if kind in {"image", "video", "audio"} else "file", media_type=media_type
    )


def _read_continuation(chat: NativeGeneration) -> Continuation:
    """Read the turn to go on from; `newChat` begins afresh whatever the ids say."""
    if chat.new_chat:
        return Continuation()
    return Continuation(chat.chat_id or "", chat.parent_id or "")


def _read_delivery(chat: NativeGeneration) -> Delivery:
    background = chat.wait_for_completion is False or bool(chat.as_task)
    return msgspec.structs.replace(read_delivery(chat), background=background)
