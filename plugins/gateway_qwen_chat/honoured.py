"""What the wire has no place for, so that callers can be told."""

from collections.abc import Iterator

from gateway.generation.requests import GenerationRequest, OtherPart, Thinking

__all__ = ["ignored_fields"]

_NOT_FOR_TEXT = ("size", "seconds", "negative_prompt")
_NOT_FOR_MEDIA = ("count", "seconds", "negative_prompt", "tools", "tool_choice", "response_format")
_UNSET: tuple[object, ...] = (None, "", (), 1)


def ignored_fields(request: GenerationRequest) -> list[str]:
    """Return the names of the request's fields that make no difference here."""
    return [
        *_sampling(request),
        *_thinking(request),
        *_by_chat_type(request),
        *_content(request),
        *request.extra,
    ]


def _sampling(request: GenerationRequest) -> Iterator[str]:
    """Name all that was set, except for what the tools' prompt can ask for."""
    for name in request.sampling.__struct_fields__:
        prompted = name == "parallel_tool_calls" and request.chat_type == "t2t" and request.tools
        if getattr(request.sampling, name) is not None and not prompted:
            yield name


def _thinking(request: GenerationRequest) -> Iterator[str]:
    """Name what has no effect: an effort only switches reasoning on, and pictures are made without."""
    thinking = request.thinking or Thinking()
    if request.chat_type != "t2t" and request.thinking is not None:
        yield "thinking"
    elif thinking.effort not in (None, "none"):
        yield "effort"


def _by_chat_type(request: GenerationRequest) -> Iterator[str]:
    for name in _NOT_FOR_TEXT if request.chat_type == "t2t" else _NOT_FOR_MEDIA:
        if getattr(request, name) not in _UNSET:
            yield name


def _content(request: GenerationRequest) -> Iterator[str]:
    if any(isinstance(part, OtherPart) for message in request.messages for part in message.content):
        yield "messages"
