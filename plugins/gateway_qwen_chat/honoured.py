"""What the wire has no place for, so that callers can be told."""

import re
from collections.abc import Iterator

from gateway.generation.requests import GenerationRequest, OtherPart, Thinking

__all__ = ["ignored_fields"]

_NOT_FOR_TEXT = ("size", "seconds", "negative_prompt")
_NOT_FOR_MEDIA = ("seconds", "negative_prompt", "thinking", "tools", "tool_choice", "response_format")
_HEADER_WORD = re.compile(r"[A-Za-z0-9_-]{1,64}")


def ignored_fields(request: GenerationRequest) -> list[str]:
    """Return the names of the request's fields that make no difference here; parts follow a dot.

    The number of pictures is not among them: whoever asks for several calls several times.
    """
    return [*_sampling(request), *_by_chat_type(request), *_content(request), *_extra(request)]


def _sampling(request: GenerationRequest) -> Iterator[str]:
    """Name all that was set, except for what the tools' prompt can ask for."""
    for name in request.sampling.__struct_fields__:
        prompted = name == "parallel_tool_calls" and request.chat_type == "t2t" and request.tools
        if getattr(request.sampling, name) is not None and not prompted:
            yield f"sampling.{name}"


def _by_chat_type(request: GenerationRequest) -> Iterator[str]:
    """Name what belongs to another chat type; an effort merely switches reasoning on."""
    for name in _NOT_FOR_TEXT if request.chat_type == "t2t" else _NOT_FOR_MEDIA:
        if getattr(request, name):
            yield name
    if request.chat_type == "t2t" and (request.thinking or Thinking()).effort not in (None, "none"):
        yield "thinking.effort"


def _content(request: GenerationRequest) -> Iterator[str]:
    if any(isinstance(part, OtherPart) for message in request.messages for part in message.content):
        yield "messages"


def _extra(request: GenerationRequest) -> Iterator[str]:
    """Name the caller's own fields, as far as their names can stand in a header."""
    for name in request.extra:
        yield f"extra.{name}" if _HEADER_WORD.fullmatch(name) else "extra"
