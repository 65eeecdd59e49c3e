"""One user message out of a conversation: the wire carries nothing else.

The provider keeps what was said in a chat, so a later turn carries only what is new. The first turn carries
everything, earlier turns written out under their roles.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.generation.requests import GenerationRequest, MediaPart, Message, ResponseFormat, ToolCall

from .tools import tool_prompt

__all__ = ["Turn", "compose"]

_HEADINGS = {"user": "User", "assistant": "Assistant", "tool": "Tool"}


class Turn(NamedTuple):
    """The text of the one message, and what is attached to it."""

    text: str
    attachments: tuple[MediaPart, ...]


def compose(request: GenerationRequest, *, first: bool) -> Turn:
    """Return the message that carries this request; `first`: the provider's chat is still empty.

    A picture or a video is made from the last prompt alone.
    """
    spoken = [message for message in request.messages if message.role != "system"]
    said = spoken if first else _news(spoken)
    if request.chat_type != "t2t":
        return Turn(request.prompt, _attachments(said))
    rules = _system(request) if first else []
    rules += [tool_prompt(request), _format_prompt(request.response_format)]
    preamble = [rule for rule in rules if rule]
    return Turn("\n\n".join([*preamble, *_transcript(said, plain=not preamble)]), _attachments(said))


def _news(spoken: Sequence[Message]) -> Sequence[Message]:
    """Return what was said after the assistant's last turn, else the last message."""
    answered = max((at for at, said in enumerate(spoken) if said.role == "assistant"), default=-1)
    return spoken[answered + 1 :] or spoken[-1:]


def _system(request: GenerationRequest) -> list[str]:
    return [message.text for message in request.messages if message.role == "system"]


def _transcript(said: Sequence[Message], *, plain: bool) -> list[str]:
    """Write the turns out; a lone question needs no heading unless instructions stand before it."""
    if len(said) == 1 and said[0].role == "user" and plain:
        return [said[0].text]
    return [f"{_HEADINGS[message.role]}: {_words(message)}" for message in said]


def _words(message: Message) -> str:
    if message.role == "tool":
        return f"<tool_response>\n{message.text}\n</tool_response>"
    calls = (_call(call) for call in message.tool_calls)
    return "\n".join(filter(None, (message.text, *calls)))


def _call(call: ToolCall) -> str:
    name = msgspec.json.encode(call.name).decode()
    return f'<tool_call>{{"name": {name}, "arguments": {call.arguments or "{}"}}}</tool_call>'


def _format_prompt(form: ResponseFormat | None) -> str:
    if form is None or form.kind == "text":
        return ""
    demand = "Answer with one JSON object and nothing else: no prose around it, no Markdown fence."
    if form.schema is None:
        return demand
    return f"{demand} It must fit this JSON Schema:\n{msgspec.json.encode(form.schema).decode()}"


def _attachments(said: Sequence[Message]) -> tuple[MediaPart, ...]:
    return tuple(part for message in said for part in message.content if isinstance(part, MediaPart))
