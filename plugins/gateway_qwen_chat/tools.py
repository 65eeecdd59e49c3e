"""Tools for a provider that has none: schemas go into the prompt, calls are parsed back out of the text."""

import uuid
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gateway.generation.events import TextDelta, ToolCallDelta
from gateway.generation.requests import GenerationRequest, Tool, ToolChoice

__all__ = ["ToolCallParser", "offered_tools", "tool_prompt"]

_OPEN = "<tool_call>"
_CLOSE = "</tool_call>"

_PROMPT = """\
You can call these functions. Each line describes one of them, with a JSON Schema of its parameters:
<tools>
{tools}
</tools>

To call a function, answer with exactly this and nothing else, a line for each call:
<tool_call>{{"name": "<the function's name>", "arguments": <a JSON object>}}</tool_call>
What the calls return comes back between tool_response tags.{demand}"""

_DEMANDS = {
    "auto": " When no call is needed, answer in plain text.",
    "required": " Answer with a call now, not in plain text.",
    "named": " Call {name} now and answer with nothing else.",
}


class _Call(msgspec.Struct, frozen=True):
    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")


_decode_call = msgspec.json.Decoder(_Call).decode
_decode_object = msgspec.json.Decoder(dict[str, Any]).decode


def offered_tools(request: GenerationRequest) -> tuple[Tool, ...]:
    """Return the tools that the model may call now: none, all, or the one that was named."""
    choice = request.tool_choice or ToolChoice()
    if choice.mode == "none":
        return ()
    return tuple(tool for tool in request.tools if choice.mode != "named" or tool.name == choice.name)


def tool_prompt(request: GenerationRequest) -> str:
    """Return the instructions that make the model call tools, "" when it may call none."""
    tools = offered_tools(request)
    if not tools:
        return ""
    choice = request.tool_choice or ToolChoice()
    demand = _DEMANDS[choice.mode].format(name=choice.name)
    if request.sampling.parallel_tool_calls is False:
        demand += " Make one call at most."
    return _PROMPT.format(tools="\n".join(map(_schema, tools)), demand=demand)


def _schema(tool: Tool) -> str:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return msgspec.json.encode({"type": "function", "function": function}).decode()


def _new_call_id() -> str:
    return f"call_{uuid.uuid4().hex}"


class ToolCallParser:
    """Turns an answer's text into text and tool calls; how the text was cut makes no difference.

    Text streams on at once, except for what may be the beginning of a call and the blanks before it.
    Blanks in front of a call, and after the last one, are dropped.
    """

    def __init__(self, new_id: Callable[[], str] = _new_call_id) -> None:
        self._new_id = new_id
        self._held = ""
        self.calls = 0
        """How many calls were found so far."""

    def feed(self, text: str) -> list[TextDelta | ToolCallDelta]:
        """Return what `text` completes."""
        self._held += text
        found: list[TextDelta | ToolCallDelta] = []
        while (piece := self._next()) is not None:
            found += piece
        return found

    def close(self) -> list[TextDelta | ToolCallDelta]:
        """Return what is left: a whole call without its closing tag is one, half a tag is text."""
        rest, self._held = self._held, ""
        if rest.lstrip().startswith(_OPEN) and (call := self._call(rest.lstrip()[len(_OPEN) :])):
            return [call]
        return _text("" if self.calls and not rest.strip() else rest)

    def _next(self) -> Sequence[TextDelta | ToolCallDelta] | None:
        """Take one piece off what is held, None when more has to come first."""
        start = self._held.find(_OPEN)
        if start < 0:
            return self._take_text(_safe_length(self._held))
        if before := self._held[:start].rstrip():
            return self._take_text(len(before))
        return self._take_call(start + len(_OPEN))

    def _take_text(self, length: int) -> list[TextDelta | ToolCallDelta] | None:
        if not length:
            return None
        text, self._held = self._held[:length], self._held[length:]
        return _text(text)

    def _take_call(self, start: int) -> list[TextDelta | ToolCallDelta] | None:
        """Take the call whose JSON begins at `start`; its strings may hold the closing tag."""
        end = self._held.find(_CLOSE, start)
        while end >= 0:
            body = self._held[start:end]
            if call := self._call(body):
                self._held = self._held[end + len(_CLOSE) :]
                return [call]
            if not _is_cut(body):
                return self._take_text(end + len(_CLOSE))
            end = self._held.find(_CLOSE, end + 1)
        return None

    def _call(self, body: str) -> ToolCallDelta | None:
        try:
            call = _decode_call(body)
            arguments = _arguments(bytes(call.arguments))
        except (msgspec.DecodeError, RecursionError):
            return None
        delta = ToolCallDelta(call=self.calls, id=self._new_id(), name=call.name, arguments=arguments)
        self.calls += 1
        return delta


def _arguments(raw: bytes) -> str:
    """Return the text of a JSON object, which some models wrap into a string. Raises `DecodeError`."""
    text = msgspec.json.decode(raw, type=str) if raw.lstrip().startswith(b'"') else raw.decode()
    _decode_object(text)
    return text


def _is_cut(body: str) -> bool:
    """Whether `body` is the beginning of a JSON text, not a broken one."""
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        return "truncated" in str(error)
    return False


def _safe_length(text: str) -> int:
    """Return how much of `text` cannot belong to a call that is still to come."""
    tag = next(
        (size for size in range(min(len(_OPEN) - 1, len(text)), 0, -1) if _OPEN.startswith(text[-size:])), 0
    )
    return len(text[: len(text) - tag].rstrip())


def _text(text: str) -> list[TextDelta | ToolCallDelta]:
    return [TextDelta(text)] if text else []
