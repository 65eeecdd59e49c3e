"""Writing chats: our vocabulary as OpenAI's JSON."""

from typing import Any

import msgspec

from gateway.generation.requests import (
    GenerationRequest,
    MediaPart,
    Message,
    OtherPart,
    Part,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
    ToolChoice,
)

__all__ = ["encode_body", "encode_chat", "unsent_by_chat"]

_JSON = msgspec.json.Encoder()
_WITH_USAGE = {"include_usage": True}


class _Message(msgspec.Struct, omit_defaults=True, gc=False):
    role: str
    content: str | list[Any] | None
    name: str = ""
    tool_calls: list[Any] = []
    tool_call_id: str = ""
    reasoning_content: str = ""


class _Chat(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    model: str
    messages: list[_Message]
    stream: bool = False
    stream_options: dict[str, bool] | None = None
    n: int = 1
    tools: list[Any] = []
    tool_choice: Any = None
    response_format: Any = None
    enable_thinking: bool | None = None
    thinking_budget: int | None = None
    reasoning_effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] | None = None
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    parallel_tool_calls: bool | None = None


def encode_chat(request: GenerationRequest, *, usage: bool) -> bytes:
    """Write the body of ``POST /chat/completions``; `usage` asks a stream for token counts."""
    drawn = request.sampling
    thinking = request.thinking
    stream = request.delivery.stream
    body = _Chat(
        model=request.model,
        messages=[_message(message) for message in request.messages],
        stream=stream,
        stream_options=_WITH_USAGE if stream and usage else None,
        n=request.count,
        tools=[_tool(tool) for tool in request.tools],
        tool_choice=request.tool_choice and _tool_choice(request.tool_choice),
        response_format=request.response_format and _response_format(request.response_format),
        enable_thinking=thinking.enabled if thinking else None,
        thinking_budget=thinking.budget if thinking else None,
        reasoning_effort=thinking.effort if thinking else None,
        temperature=drawn.temperature,
        top_p=drawn.top_p,
        max_tokens=drawn.max_tokens,
        stop=drawn.stop,
        seed=drawn.seed,
        presence_penalty=drawn.presence_penalty,
        frequency_penalty=drawn.frequency_penalty,
        logit_bias=drawn.logit_bias,
        logprobs=drawn.logprobs,
        top_logprobs=drawn.top_logprobs,
        parallel_tool_calls=drawn.parallel_tool_calls,
    )
    return encode_body(body, request.extra)


_UNSENT = ("size", "seconds", "negative_prompt")


def unsent_by_chat(request: GenerationRequest) -> list[str]:
    """Return the fields of the request that have no place in a chat's body."""
    return [name for name in _UNSENT if getattr(request, name)]


def encode_body(body: msgspec.Struct, extra: dict[str, Any]) -> bytes:
    """Write a body with the caller's unknown fields in it; they never replace a field of ours."""
    return _JSON.encode({**extra, **msgspec.to_builtins(body)} if extra else body)


def _message(message: Message) -> _Message:
    return _Message(
        role=message.role,
        content=_content(message),
        name=message.name,
        tool_calls=[_tool_call(call) for call in message.tool_calls],
        tool_call_id=message.tool_call_id,
        reasoning_content=message.reasoning,
    )


def _content(message: Message) -> str | list[Any] | None:
    match message.content:
        case (TextPart(text),):
            return text
        case ():
            return None if message.tool_calls else ""
    return [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case TextPart():
            return {"type": "text", "text": part.text}
        case OtherPart():
            return part.raw
        case MediaPart(kind="image"):
            detail = {"detail": part.detail} if part.detail else {}
            return {"type": "image_url", "image_url": {"url": part.url, **detail}}
        case MediaPart(kind="file"):
            return {"type": "file", "file": {"filename": part.name or "file", "file_data": part.url}}
        case MediaPart(kind="audio") if part.url.startswith("data:"):
            return {"type": "input_audio", "input_audio": _sound(part.url)}
    return {"type": f"{part.kind}_url", f"{part.kind}_url": {"url": part.url}}


def _sound(url: str) -> dict[str, str]:
    """Take ``data:audio/wav;base64,…`` apart: this wire names the format and has the bare base64."""
    head, _, data = url.partition(",")
    return {"data": data, "format": head.removeprefix("data:").partition(";")[0].rpartition("/")[2]}


def _tool(tool: Tool) -> dict[str, Any]:
    return {"type": "function", "function": msgspec.to_builtins(tool)}


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool_choice(choice: ToolChoice) -> Any:
    named = {"type": "function", "function": {"name": choice.name}}
    return named if choice.mode == "named" else choice.mode


def _response_format(form: ResponseFormat) -> dict[str, Any]:
    if form.kind != "json_schema":
        return {"type": form.kind}
    strict = {} if form.strict is None else {"strict": form.strict}
    return {"type": form.kind, "json_schema": {"name": form.name, "schema": form.schema, **strict}}
