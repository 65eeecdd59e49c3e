"""The one fold: a whole answer is the sum of its events."""

from collections import defaultdict
from collections.abc import AsyncIterable
from typing import Any, Final

import msgspec

from gateway.generation.events import (
    AnyEvent,
    Finish,
    FinishReason,
    Media,
    ReasoningDelta,
    TaskAccepted,
    TextDelta,
    ToolCallDelta,
    Usage,
)
from gateway.generation.requests import ToolCall

__all__ = ["Choice", "GenerationResult", "Reply", "Sum", "collect"]


class Reply(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What an encoder must know about the answer before it has begun.

    `id` is ours (32 hex digits), `created` unix seconds, `model` what was asked for. `chat_id` is ""
    where no conversation is kept; `parent_id` is what the caller sends to go on from this answer.
    """

    id: str
    created: int
    model: str
    chat_id: str = ""
    parent_id: str = ""
    base_url: str = ""
    request_id: str = ""


class Choice(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One complete alternative."""

    index: int = 0
    text: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: FinishReason = "stop"
    extra: dict[str, Any] | None = None


class GenerationResult(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A complete answer. `usage` is None when nobody counted."""

    choices: tuple[Choice, ...] = ()
    media: tuple[Media, ...] = ()
    usage: Usage | None = None
    task_id: str = ""
    extra: dict[str, Any] | None = None


class _ChoiceSum(msgspec.Struct):
    text: list[str] = []
    reasoning: list[str] = []
    calls: dict[int, list[str]] = {}
    extra: dict[str, Any] | None = None

    def add_call(self, piece: ToolCallDelta) -> None:
        call = self.calls.setdefault(piece.call, ["", "", ""])
        for slot, value in enumerate((piece.id, piece.name, piece.arguments)):
            call[slot] += value

    def choice(self, index: int, reason: FinishReason) -> Choice:
        return Choice(
            index=index,
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            tool_calls=self._tool_calls() if self.calls else (),
            finish_reason=reason,
            extra=self.extra,
        )

    def _tool_calls(self) -> tuple[ToolCall, ...]:
        calls = (self.calls[number] for number in sorted(self.calls))
        return tuple(ToolCall(call_id, name, arguments or "{}") for call_id, name, arguments in calls)


class Sum:
    """Adds events up; `result()` may be asked at any time."""

    def __init__(self) -> None:
        self._choices: defaultdict[int, _ChoiceSum] = defaultdict(_ChoiceSum)
        self._media: list[Media] = []
        self._usage: Usage | None = None
        self._task_id = ""
        self._finish = _UNFINISHED

    def add(self, event: AnyEvent) -> None:
        """Take one event in; kinds that leave no trace in a whole answer are passed over."""
        # Types are compared: an instance check of a Struct's type costs as much as all the rest.
        if type(event) is TextDelta:
            choice = self._choices[event.index]
            choice.text.append(event.text)
            if event.extra:
                choice.extra = _merge(choice.extra or {}, event.extra)
        elif type(event) is Usage:
            self._usage = event
        elif type(event) is Finish:
            self._finish = event
        elif type(event) is ReasoningDelta:
            self._choices[event.index].reasoning.append(event.text)
        elif type(event) is ToolCallDelta:
            self._choices[event.index].add_call(event)
        elif type(event) is Media:
            self._media.append(event)
        elif type(event) is TaskAccepted:
            self._task_id = event.task_id

    def result(self) -> GenerationResult:
        """Return what has been added up so far."""
        finish, reasons = self._finish, self._finish.reasons
        choices = [
            choice.choice(index, reasons[index] if index < len(reasons) else finish.reason)
            for index, choice in sorted(self._choices.items()) or [(0, _ChoiceSum())]
        ]
        return GenerationResult(
            choices=tuple(choices),
            media=tuple(self._media),
            usage=self._usage,
            task_id=self._task_id,
            extra=finish.extra,
        )


_UNFINISHED: Final = Finish()


async def collect(events: AsyncIterable[AnyEvent]) -> GenerationResult:
    """Fold a stream of events into the whole answer; errors that the stream raises pass through."""
    total = Sum()
    async for event in events:
        total.add(event)
    return total.result()


def _merge(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Merge a chunk's extra fields: lists grow, objects merge, the rest is replaced."""
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if isinstance(before, list) and isinstance(value, list):
            merged[key] = [*before, *value]
        elif isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merge(before, value)
        else:
            merged[key] = value
    return merged
