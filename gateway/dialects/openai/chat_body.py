"""The chat fields that OpenAI's API and ours have in common: wire Structs in, the vocabulary out.

null is the same as absent everywhere, and fields of inner objects that mean nothing here (cache_control
and the like) are passed over.
"""

from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.dialects.parts import Content, read_content
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import (
    Delivery,
    Message,
    ResponseFormat,
    Sampling,
    TextPart,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)

__all__ = [
    "ChatMessage",
    "ChatOptions",
    "ChatTool",
    "FunctionDefinition",
    "NamedFunction",
    "NamedToolChoice",
    "StreamOptions",
    "ToolChoiceField",
    "read_delivery",
    "read_messages",
    "read_response_format",
    "read_sampling",
    "read_thinking",
    "read_tool_choice",
    "read_tools",
]

Penalty = Annotated[float, msgspec.Meta(ge=-2, le=2)]
Positive = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]


class FunctionCall(msgspec.Struct, frozen=True):
    """A call that the model made; `arguments` is JSON text (an object is taken too)."""

    name: str
    arguments: str | dict[str, Any] | None = None


class MessageToolCall(msgspec.Struct, frozen=True):
    """One of an assistant message's calls."""

    function: FunctionCall
    id: str | None = None


class ChatMessage(msgspec.Struct, frozen=True, gc=False):
    """One turn of the conversation. `developer` is the same as `system`."""

    role: Role
    content: Content = None
    name: str | None = None
    tool_calls: list[MessageToolCall] | None = None
    tool_call_id: str | None = None
    function_call: FunctionCall | None = None
    reasoning_content: str | None = None


class FunctionDefinition(msgspec.Struct, frozen=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ChatTool(msgspec.Struct, frozen=True):
    """A tool; only functions are known."""

    function: FunctionDefinition
    type: Literal["function"] = "function"


class NamedFunction(msgspec.Struct, frozen=True):
    """The name of a function."""

    name: str


class NamedToolChoice(msgspec.Struct, frozen=True):
    """A tool that the model must call."""

    function: NamedFunction


ToolChoiceField = Literal["auto", "none", "required"] | NamedToolChoice | None


class JsonSchema(msgspec.Struct, frozen=True):
    """The JSON Schema that the answer has to follow."""

    name: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseFormatField(msgspec.Struct, frozen=True):
    """The form that the answer's text must have."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """How the stream is written. `include_usage`: a last chunk with the usage."""

    include_usage: bool | None = None


class Reasoning(msgspec.Struct, frozen=True):
    """How long the model reasons before it answers."""

    effort: str | None = None
    enabled: bool | None = None
    max_tokens: int | None = None


class ChatTemplateOptions(msgspec.Struct, frozen=True):
    """The chat template's switches, as self-hosted Qwen servers take them."""

    enable_thinking: bool | None = None
    thinking_budget: int | None = None


class ChatOptions(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The options of a chat, as OpenAI names them."""

    model: str | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    max_tokens: Positive | None = None
    max_completion_tokens: Positive | None = None
    stop: str | list[str] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, msgspec.Meta(ge=0, le=20)] | None = None
    parallel_tool_calls: bool | None = None
    tools: list[ChatTool] | None = None
    response_format: ResponseFormatField | None = None
    reasoning_effort: str | None = None
    reasoning: Reasoning | None = None
    enable_thinking: bool | None = None
    thinking_budget: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None = None
    chat_template_kwargs: ChatTemplateOptions | None = None


_ROLES: Final[dict[Role, Literal["system", "user", "assistant", "tool"]]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_NO_THINKING: Final = (None,) * 5
_NO_REASONING: Final = Reasoning()
_NO_TEMPLATE: Final = ChatTemplateOptions()


def read_messages(messages: list[ChatMessage]) -> tuple[Message, ...]:
    """Read a history; raises `InvalidRequest` when it is empty."""
    if not messages:
        raise InvalidRequest("messages must hold at least one message", param="messages")
    return tuple([_read_message(message, index) for index, message in enumerate(messages)])


def read_delivery(options: ChatOptions) -> Delivery:
    """Read how the answer is handed over."""
    usage = options.stream_options and options.stream_options.include_usage
    return Delivery(stream=bool(options.stream), include_usage=bool(usage))


def read_sampling(options: ChatOptions) -> Sampling:
    """Read how tokens are drawn."""
    stop = options.stop
    return Sampling(
        temperature=options.temperature,
        top_p=options.top_p,
        max_tokens=options.max_completion_tokens or options.max_tokens,
        stop=(stop,) if isinstance(stop, str) else tuple(stop) if stop else None,
        seed=options.seed,
        presence_penalty=options.presence_penalty,
        frequency_penalty=options.frequency_penalty,
        logit_bias=options.logit_bias,
        logprobs=options.logprobs,
        top_logprobs=options.top_logprobs,
        parallel_tool_calls=options.parallel_tool_calls,
    )


def read_thinking(options: ChatOptions) -> Thinking | None:
    """Read whether the model reasons first, in whichever of the five ways it was said."""
    enabled, budget, effort = options.enable_thinking, options.thinking_budget, options.reasoning_effort
    if (enabled, budget, effort, options.reasoning, options.chat_template_kwargs) == _NO_THINKING:
        return None
    reasoning = options.reasoning or _NO_REASONING
    template = options.chat_template_kwargs or _NO_TEMPLATE
    thinking = Thinking(
        enabled=_first(enabled, template.enable_thinking, reasoning.enabled),
        budget=_first(budget, template.thinking_budget, reasoning.max_tokens),
        effort=_first(effort, reasoning.effort),
    )
    return None if thinking == Thinking() else thinking


def read_response_format(options: ChatOptions) -> ResponseFormat | None:
    """Read the form that the text must have."""
    wanted = options.response_format
    if wanted is None:
        return None
    if wanted.type != "json_schema":
        return ResponseFormat(wanted.type)
    if wanted.json_schema is None:
        raise InvalidRequest("response_format.json_schema is missing", param="response_format.json_schema")
    schema = wanted.json_schema
    return ResponseFormat("json_schema", schema.name or "", schema.schema, schema.strict)


def read_tools(functions: list[FunctionDefinition]) -> tuple[Tool, ...]:
    """Read the functions that the model may call."""
    return tuple(
        Tool(function.name, function.description or "", function.parameters or {}, function.strict)
        for function in functions
    )


def read_tool_choice(choice: ToolChoiceField) -> ToolChoice | None:
    """Read whether a tool may, must or must not be called."""
    match choice:
        case None:
            return None
        case NamedToolChoice():
            return ToolChoice("named", choice.function.name)
        case _:
            return ToolChoice(choice)


def _read_message(message: ChatMessage, index: int) -> Message:
    content = message.content
    return Message(
        role=_ROLES[message.role],
        # The usual content needs no name for its place.
        content=(TextPart(content),)
        if isinstance(content, str)
        else read_content(content, f"messages[{index}].content"),
        name=message.name or "",
        tool_calls=_read_calls(message),
        tool_call_id=message.tool_call_id or "",
        reasoning=message.reasoning_content or "",
    )


def _read_calls(message: ChatMessage) -> tuple[ToolCall, ...]:
    if message.tool_calls:
        return tuple(_read_call(call.function, call.id or "") for call in message.tool_calls)
    if message.function_call:
        return (_read_call(message.function_call, ""),)
    return ()


def _read_call(call: FunctionCall, call_id: str) -> ToolCall:
    arguments = call.arguments
    if isinstance(arguments, dict):
        arguments = msgspec.json.encode(arguments).decode()
    return ToolCall(call_id, call.name, arguments or "{}")


def _first(*values: Any) -> Any:
    for value in values:
        if value is not None:
            return value
    return None
