"""Reading answers: OpenAI's chunks and whole completions as events.

Both have one form here: a whole completion is one chunk whose choices hold a `message` instead of a `delta`.
Chunks are decoded into Structs that know every standard field and refuse any other. Only where a server adds
its own is the chunk decoded as a tree: nothing is lost, and the usual case pays nothing for it.
Within a stream most chunks differ in nothing but their text: what stands around it is learned from the first
ones, and of the others that begin and end in the same bytes only the text is decoded.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import repeat
from typing import Any

import msgspec

from gateway.generation.errors import AnswerCut, InvalidAnswer
from gateway.generation.events import (
    AnyEvent,
    Finish,
    FinishReason,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from gateway.plugin_api.http import decode_json
from gateway.plugin_api.openai_wire.refusals import error_in, refuse

__all__ = ["ChatAnswer"]


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class _Call(msgspec.Struct, gc=False):
    index: int | None = None
    id: str | None = None
    function: _Function = msgspec.field(default_factory=_Function)


class _Piece(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[_Call] | None = None
    role: Any = None
    refusal: str | None = None


class _Choice(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    index: int = 0
    delta: _Piece | None = None
    message: _Piece | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, gc=False):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Chunk(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    id: Any = None
    object: Any = None
    created: Any = None
    model: Any = None
    obfuscation: Any = None


class _Around(msgspec.Struct, frozen=True, gc=False):
    """The bytes before and after the text of a chunk, and what that text is."""

    start: bytes
    end: bytes
    kind: type[TextDelta] | type[ReasoningDelta]
    index: int


_CHUNK = msgspec.json.Decoder(_Chunk)
_TREE = msgspec.json.Decoder()
_TEXT = msgspec.json.Decoder(str)
_JSON = msgspec.json.Encoder()
_LESSONS = 4  # more would cost what they save where the chunks of several choices take turns
_NO_PIECE = _Piece()
_DONE = b"[DONE]"
_Extra = dict[str, Any] | None
_NO_EXTRAS: Iterable[_Extra] = repeat(None)

_REASONS: dict[str, FinishReason] = {
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_BROKEN_OFF = frozenset({"abort", "aborted", "cancelled", "error", "insufficient_system_resource"})


class ChatAnswer(msgspec.Struct, eq=False):
    """One answer as it comes: chunks in, events out."""

    _reasons: dict[int, FinishReason] = {}
    _last: int = 0  # the highest index of a choice
    _calls: int = 0
    _calling: set[int] = set()
    _extra: dict[str, Any] | None = None
    _around: _Around | None = None
    _lessons: int = _LESSONS
    done: bool = False
    """Whether the server has marked the end; `Finish` has then been returned."""

    def add(self, data: bytes) -> Sequence[AnyEvent]:
        """Return the events of one chunk (or one whole completion).

        Raises:
            GatewayError: the chunk is an error object, says that the answer was broken off, or is not JSON.
        """
        if data == _DONE or self.done:
            return self._end()
        known = self._around
        if known is None or not (data.startswith(known.start) and data.endswith(known.end)):
            return self._add_whole(data)
        try:
            text = _TEXT.decode(data[len(known.start) : -len(known.end)])
        except (msgspec.DecodeError, UnicodeDecodeError):  # there is more than a text
            return self._add_whole(data)
        return (known.kind(text, known.index),) if text else ()

    def _add_whole(self, data: bytes) -> Sequence[AnyEvent]:
        try:
            chunk = _CHUNK.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._events(*self._sift(decode_json(data, _TREE)))
        events = self._events(chunk)
        if self._lessons and not self._reasons:
            self._learn(data, events)
        return events

    def _learn(self, data: bytes, events: list[AnyEvent]) -> None:
        """Note what stands around a text: a chunk that says nothing once the text is taken out of it."""
        match events:
            case [(TextDelta(text, index, None) | ReasoningDelta(text, index)) as event]:
                self._lessons -= 1
                start, _, end = data.partition(_JSON.encode(text))
                with suppress(msgspec.DecodeError):
                    if not self._events(_CHUNK.decode(b'%b""%b' % (start, end))):
                        self._around = _Around(start, end, type(event), index)

    def _end(self) -> Sequence[AnyEvent]:
        if self.done:
            return ()
        self.done = True
        return (self.finish(),)

    def finish(self) -> Finish:
        """Return the end of the answer. Raises `AnswerCut` if a choice has not said why it ends."""
        if len(self._reasons) <= self._last:
            raise AnswerCut("The provider's answer broke off.", sent=True)
        reasons = tuple(map(self._reasons.__getitem__, sorted(self._reasons)))
        return Finish(reasons[0], reasons if len(reasons) > 1 else (), self._extra)

    def _events(self, chunk: _Chunk, extras: Iterable[_Extra] = _NO_EXTRAS) -> list[AnyEvent]:
        if chunk.error:
            raise _refusal({"error": chunk.error})
        events: list[AnyEvent] = []
        for choice, extra in zip(chunk.choices or (), extras, strict=False):
            self._read_choice(choice, extra, events)
        if chunk.usage is not None:
            events.append(_usage(chunk.usage))
        if chunk.system_fingerprint or chunk.service_tier:
            self._note(chunk)
        return events

    def _read_choice(self, choice: _Choice, extra: _Extra, events: list[AnyEvent]) -> None:
        piece = choice.delta or choice.message or _NO_PIECE
        index = choice.index
        if index > self._last:
            self._last = index
        if reasoning := piece.reasoning_content or piece.reasoning:
            events.append(ReasoningDelta(reasoning, index))
        if choice.logprobs is not None:
            extra = {**(extra or {}), "logprobs": choice.logprobs}
        if (text := piece.content or piece.refusal or "") or extra:
            events.append(TextDelta(text, index, extra))
        if piece.tool_calls:
            self._calling.add(index)
            events.extend(self._call(call, index) for call in piece.tool_calls)
        if choice.finish_reason:
            self._reasons[index] = self._reason(choice.finish_reason, index)

    def _call(self, call: _Call, index: int) -> ToolCallDelta:
        """Return the piece, numbered here where its server does not: an id begins a new call."""
        number = call.index
        if number is None:
            number = self._calls if call.id else max(self._calls - 1, 0)
        self._calls = max(self._calls, number + 1)
        arguments = call.function.arguments or ""
        text = arguments if isinstance(arguments, str) else _JSON.encode(arguments).decode()
        return ToolCallDelta(number, call.id or "", call.function.name or "", text, index)

    def _reason(self, word: str, index: int) -> FinishReason:
        if word in _BROKEN_OFF:
            raise AnswerCut("The provider broke its answer off.", sent=True)
        # Some servers say "stop" after a tool call.
        return _REASONS.get(word) or ("tool_calls" if index in self._calling else "stop")

    def _note(self, chunk: _Chunk) -> None:
        self._extra = self._extra or {}
        if chunk.system_fingerprint:
            self._extra["system_fingerprint"] = chunk.system_fingerprint
        if chunk.service_tier:
            self._extra["service_tier"] = chunk.service_tier

    def _sift(self, tree: Any) -> tuple[_Chunk, list[_Extra]]:
        """Take out what the Structs do not know: the answer's own fields, and each choice's."""
        if (refusal := error_in(tree)) is not None:
            raise refuse(refusal)
        if not isinstance(tree, dict) or not isinstance(tree.get("choices", []), list | None):
            raise _unknown_form()
        if strange := _take_unknown(tree, _Chunk):
            self._extra = {**(self._extra or {}), **strange}
        extras = [_take_unknown_of_choice(choice) for choice in tree.get("choices") or ()]
        try:
            return msgspec.convert(tree, _Chunk), extras
        except msgspec.ValidationError as error:
            raise _unknown_form() from error


def _take_unknown(table: dict[str, Any], kind: type[msgspec.Struct]) -> dict[str, Any]:
    unknown = table.keys() - kind.__struct_fields__
    return {name: value for name in sorted(unknown) if (value := table.pop(name)) is not None}


def _take_unknown_of_choice(choice: Any) -> _Extra:
    """Return a choice's own fields and those of its delta, as one table."""
    if not isinstance(choice, dict):
        return None
    piece = choice.get("delta") or choice.get("message")
    of_piece = _take_unknown(piece, _Piece) if isinstance(piece, dict) else {}
    return (_take_unknown(choice, _Choice) | of_piece) or None


def _unknown_form() -> InvalidAnswer:
    return InvalidAnswer("The provider's JSON does not have the expected form.", sent=True)


def _refusal(answer: dict[str, Any]) -> Exception:
    refusal = error_in(answer)
    return refuse(refusal) if refusal else _unknown_form()


def _usage(usage: _Usage) -> Usage:
    inputs, outputs = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        reasoning_tokens=(outputs.reasoning_tokens or 0) if outputs else 0,
        cached_tokens=(inputs.cached_tokens or 0) if inputs else 0,
    )
