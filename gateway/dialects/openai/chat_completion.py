"""A whole chat answer in OpenAI's form."""

from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.dialects.media_urls import media_lines
from gateway.dialects.token_usage import TokenUsage
from gateway.generation.events import FinishReason, Media
from gateway.generation.requests import ToolCall
from gateway.generation.results import Choice, GenerationResult

__all__ = [
    "AnswerChoice",
    "AnswerMessage",
    "ChatCompletion",
    "encode_with",
    "finish_reason",
    "write_choices",
]


_encode: Final = msgspec.json.Encoder().encode


class CalledFunction(msgspec.Struct, frozen=True, gc=False):
    """A function that the model wants called; `arguments` is the JSON text of an object."""

    name: str
    arguments: str


class AnswerToolCall(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One call that the model made."""

    id: str
    type: Literal["function"] = "function"
    function: CalledFunction


class AnswerMessage(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What the model said; `content` is null when it only called tools."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    refusal: str | None = None
    reasoning_content: str | UnsetType = UNSET
    tool_calls: tuple[AnswerToolCall, ...] | UnsetType = UNSET


class AnswerChoice(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One alternative."""

    index: int
    message: AnswerMessage
    logprobs: dict[str, Any] | None = None
    finish_reason: FinishReason


class ChatCompletion(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A whole answer. `created` is in unix seconds."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: TokenUsage


def write_choices(result: GenerationResult, base_url: str) -> list[Any]:
    """Write every alternative; media are said as lines of addresses in the first one's content."""
    return [
        _with(_write_choice(choice, () if number else result.media, base_url), choice.extra)
        for number, choice in enumerate(result.choices)
    ]


def encode_with(body: msgspec.Struct, extra: Mapping[str, Any] | None) -> bytes:
    """Encode a body together with the provider's own fields."""
    return _encode(_with(body, extra))


def finish_reason(reason: FinishReason, *, has_calls: bool) -> FinishReason:
    """Return the reason that clients wait for: an answer that calls tools ends in ``tool_calls``."""
    return "tool_calls" if has_calls and reason == "stop" else reason


def _with(body: msgspec.Struct, extra: Mapping[str, Any] | None) -> Any:
    return {**msgspec.to_builtins(body), **extra} if extra else body


def _write_choice(choice: Choice, media: tuple[Media, ...], base_url: str) -> AnswerChoice:
    calls = tuple(map(_write_call, choice.tool_calls))
    content = choice.text
    if media:
        content = "\n".join(filter(None, (content, media_lines(media, base_url))))
    message = AnswerMessage(
        content=content or (None if calls else ""),
        reasoning_content=choice.reasoning or UNSET,
        tool_calls=calls or UNSET,
    )
    reason = finish_reason(choice.finish_reason, has_calls=bool(calls))
    return AnswerChoice(index=choice.index, message=message, finish_reason=reason)


def _write_call(call: ToolCall) -> AnswerToolCall:
    return AnswerToolCall(id=call.id, function=CalledFunction(call.name, call.arguments or "{}"))
