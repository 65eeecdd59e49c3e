"""The bodies of the wire's requests, decoded and checked."""

import re
from typing import Any, TypeVar

import msgspec

from .refusals import bad_request, validation_error

__all__ = ["CompletionCall", "FeatureConfig", "NewChat", "UserMessage", "decode"]

T = TypeVar("T")

_MISSING = re.compile(r"missing required field `(\w+)`")
_WHERE = re.compile(r" - at `\$\.?([^`]*)`")


class NewChat(msgspec.Struct, kw_only=True):
    """Body of `chats/new`."""

    models: list[str]
    title: str = "New Chat"
    chat_mode: str = "normal"
    chat_type: str = "t2t"


class FeatureConfig(msgspec.Struct, kw_only=True):
    """The switches of one message."""

    thinking_enabled: bool = False
    output_schema: str | None = None
    thinking_format: str | None = None


class UserMessage(msgspec.Struct, kw_only=True):
    """The one message that a call carries."""

    role: str
    content: str | list[dict[str, Any]]
    chat_type: str = "t2t"
    sub_chat_type: str | None = None
    files: list[dict[str, Any]] = []
    feature_config: FeatureConfig = msgspec.field(default_factory=FeatureConfig)

    @property
    def text(self) -> str:
        """The words of the message, whichever form its content has."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(str(part.get("text", "")) for part in self.content if part.get("type") == "text")

    @property
    def links(self) -> list[dict[str, Any]]:
        """Attachments: the files, and the pictures and files among the content parts."""
        parts = self.content if isinstance(self.content, list) else []
        found = [{"type": kind, "url": part[kind]} for part in parts if (kind := part.get("type")) in part]
        return self.files + [link for link in found if link["type"] in ("image", "file")]


class CompletionCall(msgspec.Struct, kw_only=True):
    """Body of `chat/completions`."""

    chat_id: str
    model: str
    messages: list[UserMessage]
    stream: bool = False
    incremental_output: bool = False
    parent_id: str | None = None
    size: str | None = None
    system_message: str | None = None

    @property
    def message(self) -> UserMessage:
        """The new user message."""
        return self.messages[0]

    @property
    def chat_type(self) -> str:
        """What is to be made; the sub type wins, as some clients send pictures as a `t2t` with it."""
        return self.message.sub_chat_type or self.message.chat_type

    def check(self, query_chat_id: str | None) -> None:
        """Raise a `Refusal` for what the types cannot say."""
        if query_chat_id != self.chat_id:
            raise bad_request("chat_id of the query and of the body differ")
        if len(self.messages) != 1:
            raise validation_error("messages", "exactly one message per call")
        if self.message.role != "user":
            raise validation_error("messages.0.role", "Input should be 'user'")


def decode(body: bytes, type_: type[T]) -> T:
    """Decode a JSON body; raises a 400 `Refusal` in the words of the wire."""
    try:
        return msgspec.json.decode(body, type=type_)
    except (msgspec.DecodeError, RecursionError) as error:
        text = str(error)
    where = match[1] if (match := _WHERE.search(text)) else ""
    if match := _MISSING.search(text):
        field = f"{where}.{match[1]}" if where else match[1]
        raise validation_error(field, "Field required")
    raise validation_error(where or "body", text.partition(" - at ")[0])
