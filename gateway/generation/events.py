"""What a generation produces: a stream of frozen events.

Grammar: ``(thread | delta | media | task | progress | usage)* finish``.
Usage is cumulative and the last one wins; a task is accepted at most once and before any media. What goes
wrong is raised, it is no event.
"""

from typing import Any, Literal

import msgspec

__all__ = [
    "AnyEvent",
    "Event",
    "Finish",
    "FinishReason",
    "Media",
    "MediaKind",
    "Progress",
    "ReasoningDelta",
    "TaskAccepted",
    "TextDelta",
    "Thread",
    "ToolCallDelta",
    "Usage",
]

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
MediaKind = Literal["image", "video", "audio"]


class Event(msgspec.Struct, frozen=True, gc=False, tag_field="type", rename="camel", omit_defaults=True):
    """One thing that happened during a generation."""


class TextDelta(Event, frozen=True, gc=False, tag="text.delta"):
    """A piece of the answer's text.

    `extra` holds the provider's own fields of this choice (logprobs, vendor extras).
    """

    text: str
    index: int = 0
    extra: dict[str, Any] | None = None


class ReasoningDelta(Event, frozen=True, gc=False, tag="reasoning.delta"):
    """A piece of the model's reasoning."""

    text: str
    index: int = 0


class ToolCallDelta(Event, frozen=True, gc=False, tag="tool_call.delta"):
    """A piece of a tool call.

    The first piece of a call carries `id` and `name`; `call` counts the calls of one choice from 0,
    `arguments` is a piece of JSON text.
    """

    call: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    index: int = 0


class Media(Event, frozen=True, gc=False, tag="media"):
    """One generated picture, film or sound: `url` or the bytes themselves in `data`.

    `width` and `height` are pixels, 0 when unknown. `private`: only the gateway can reach the URL,
    so it is archived and handed out under the gateway's own address.
    """

    kind: MediaKind
    url: str = ""
    data: bytes = b""
    media_type: str = ""
    width: int = 0
    height: int = 0
    private: bool = False


class TaskAccepted(Event, frozen=True, gc=False, tag="task.accepted"):
    """The work became a durable task; `task_id` is ours."""

    task_id: str


class Progress(Event, frozen=True, gc=False, tag="progress"):
    """How far the work is: `fraction` 0 to 1, `stage` in one word."""

    fraction: float
    stage: str = ""


class Usage(Event, frozen=True, gc=False, tag="usage"):
    """What was used so far. `media` counts pictures or films, `seconds` is the length of a film."""

    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    media: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0


class Finish(Event, frozen=True, gc=False, tag="finish"):
    """The good end. `reasons` holds one reason per choice when there are several.

    `extra` holds the provider's own fields of the whole answer (system_fingerprint and the like).
    """

    reason: FinishReason = "stop"
    reasons: tuple[FinishReason, ...] = ()
    extra: dict[str, Any] | None = None


class Thread(Event, frozen=True, gc=False, tag="thread"):
    """The provider's conversation handle: kept by dispatch, never encoded, never shown.

    `chat` is the provider's chat id, `parent` what the next turn hangs on.
    """

    chat: str
    parent: str = ""


AnyEvent = (
    TextDelta | ReasoningDelta | ToolCallDelta | Media | TaskAccepted | Progress | Usage | Finish | Thread
)
