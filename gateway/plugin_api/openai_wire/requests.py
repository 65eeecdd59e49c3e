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
    Thinking,
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


def encode_chat(request: GenerationRequest, *, usage: bool) -> bytes:
    """Write the body of ``POST /chat/completions``; `usage` asks a stream for token counts."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": list(map(_message, request.messages)),
        **msgspec.to_builtins(request.sampling),  # what is set, under OpenAI's names
    }
    if request.delivery.stream:
        body["stream"] = True
        if usage:
            body["stream_options"] = _WITH_USAGE
    if request.count != 1:
        body["n"] = request.count
    if request.tools:
        body["tools"] = list(map(_tool, request.tools))
    if request.tool_choice:
        body["tool_choice"] = _tool_choice(request.tool_choice)
    if request.response_format:
        body["response_format"] = _response_format(request.response_format)
    if request.thinking:
        body |= _thinking(request.thinking)
    return encode_body(body, request.extra)


_UNSENT = ("size", "seconds", "negative_prompt")


def unsent_by_chat(request: GenerationRequest) -> list[str]:
    """Return the fields of the request that have no place in a chat's body."""
    return [name for name in _UNSENT if getattr(request, name)]


def encode_body(body: msgspec.Struct | dict[str, Any], extra: dict[str, Any]) -> bytes:
    """Write a body with the caller's unknown fields in it; they never replace a field of ours."""
    return _JSON.encode({**extra, **msgspec.to_builtins(body)} if extra else body)


def _message(message: Message) -> _Message:
    return _Message(
        role=message.role,
        content=_content(message),
        name=message.name,
        tool_calls=list(map(_tool_call, message.tool_calls)),
        tool_call_id=message.tool_call_id,
        reasoning_content=message.reasoning,
    )


def _content(message: Message) -> str | list[Any] | None:
    match message.content:
        case (TextPart(text),):
            return text
        case ():
            return None if message.tool_calls else ""
    return list(map(_part, message.content))


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


def _thinking(thinking: Thinking) -> dict[str, Any]:
    fields = {
        "enable_thinking": thinking.enabled,
        "thinking_budget": thinking.budget,
        "reasoning_effort": thinking.effort,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _response_format(form: ResponseFormat) -> dict[str, Any]:
    if form.kind != "json_schema":
        return {"type": form.kind}
    strict = {} if form.strict is None else {"strict": form.strict}
    return {"type": form.kind, "json_schema": {"name": form.name, "schema": form.schema, **strict}}
