"""What a caller asks for, whichever dialect it was said in."""

from typing import Any, Literal

import msgspec

__all__ = [
    "Caller",
    "Continuation",
    "Delivery",
    "GenerationRequest",
    "MediaPart",
    "Message",
    "OtherPart",
    "Part",
    "PartKind",
    "ResponseFormat",
    "Sampling",
    "TextPart",
    "Thinking",
    "Tool",
    "ToolCall",
    "ToolChoice",
    "UpstreamFile",
]

# None of these values can be part of a reference cycle, so the collector need not look at them (gc=False).

PartKind = Literal["image", "video", "audio", "file"]


class UpstreamFile(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A file as its provider knows it, bound to the account that uploaded it.

    `reference` is the plugin's own text (JSON as a rule); nobody else reads it.
    `expires` is in unix seconds, 0 for never.
    """

    name: str
    media_type: str
    size: int
    reference: str
    expires: float = 0.0


class TextPart(msgspec.Struct, frozen=True, gc=False, tag="text"):
    """A piece of text."""

    text: str


class MediaPart(msgspec.Struct, frozen=True, gc=False, tag="media", omit_defaults=True):
    """Something to look at, hear or read: a URL (http, https or data:) or one of our files.

    `uploaded` is filled in once the file is with the leased account's provider.
    """

    kind: PartKind
    url: str = ""
    file_id: str = ""
    name: str = ""
    media_type: str = ""
    detail: str = ""
    uploaded: UpstreamFile | None = None


class OtherPart(msgspec.Struct, frozen=True, gc=False, tag="other"):
    """A part of a kind that we do not know; a provider of the same dialect may."""

    raw: dict[str, Any]


Part = TextPart | MediaPart | OtherPart


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A call that the model made; `arguments` is the JSON text of an object."""

    id: str
    name: str
    arguments: str = "{}"


class Message(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One turn of the conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: tuple[Part, ...] = ()
    name: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    reasoning: str = ""

    @property
    def text(self) -> str:
        """The text parts, joined."""
        return "".join(part.text for part in self.content if isinstance(part, TextPart))


class Tool(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A function that the model may call; `parameters` is a JSON Schema."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Whether the model may, must or must not call a tool; `name` goes with mode "named"."""

    mode: Literal["auto", "none", "required", "named"] = "auto"
    name: str = ""


class ResponseFormat(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The form that the text must have; `schema` is a JSON Schema."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str = ""
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class Sampling(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How tokens are drawn. The names are OpenAI's; None is the provider's default."""

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


class Thinking(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Whether and how long the model reasons first; `budget` is in tokens."""

    enabled: bool | None = None
    budget: int | None = None
    effort: str | None = None


class Continuation(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A conversation that the gateway keeps: our chat id and the turn to go on from; "" is a new one."""

    chat_id: str = ""
    parent_id: str = ""


class Delivery(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """How the caller wants the answer handed over.

    stream: as server-sent events. include_usage: with a usage chunk. inline_media: media as base64 in the
    answer, not as a URL. background: work that becomes a task answers with the task at once.
    """

    stream: bool = False
    include_usage: bool = False
    inline_media: bool = False
    background: bool = False


class GenerationRequest(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One request for text, pictures, a film or whatever a generator plugin makes.

    `chat_type` is "" only where a chat goes on as it began. `size` is a ratio ("16:9") or "" for the
    generator's default. `model` is "" for the chat's model or the configured default; dispatch resolves
    aliases. `continuation` is None for a one-off call whose whole history is in `messages`. `extra` holds
    fields that the dialect does not know.
    """

    chat_type: str
    messages: tuple[Message, ...]
    model: str = ""
    size: str = ""
    count: int = 1
    seconds: float | None = None
    negative_prompt: str = ""
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    response_format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    thinking: Thinking | None = None
    continuation: Continuation | None = None
    delivery: Delivery = Delivery()
    extra: dict[str, Any] = {}

    @property
    def prompt(self) -> str:
        """The text of the last user message."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), "")


class Caller(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who asks, and what the transport said about this try.

    `owner` is the client key's name ("anonymous" without keys). `retry` counts the client's own
    repetitions of this call. `base_url` is the address that the caller reached us under.
    """

    owner: str
    request_id: str
    base_url: str = ""
    idempotency_key: str = ""
    retry: int = 0
    admin: bool = False
