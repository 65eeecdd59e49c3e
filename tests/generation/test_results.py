"""A whole answer is the sum of its events, however they were cut."""

import json
from collections import defaultdict
from collections.abc import AsyncGenerator, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.errors import AnswerCut
from gateway.generation.events import (
    AnyEvent,
    Finish,
    Media,
    Progress,
    ReasoningDelta,
    TaskAccepted,
    TextDelta,
    Thread,
    ToolCallDelta,
    Usage,
)
from gateway.generation.requests import ToolCall
from gateway.generation.results import Choice, GenerationResult, Sum, collect

pytestmark = pytest.mark.anyio


def total(events: Sequence[AnyEvent]) -> GenerationResult:
    adding = Sum()
    for event in events:
        adding.add(event)
    return adding.result()


indices = st.integers(0, 3)
deltas = st.lists(
    st.builds(TextDelta, st.text(max_size=4), indices)
    | st.builds(ReasoningDelta, st.text(max_size=4), indices)
    | st.builds(ToolCallDelta, indices, st.just(""), st.just(""), st.text(max_size=4), indices)
)


@given(deltas)
def test_texts_are_concatenated_choice_by_choice(events: list[AnyEvent]) -> None:
    text: dict[int, str] = defaultdict(str)
    reasoning: dict[int, str] = defaultdict(str)
    calls: dict[int, dict[int, str]] = defaultdict(lambda: defaultdict(str))
    for event in events:
        match event:
            case TextDelta():
                text[event.index] += event.text
            case ReasoningDelta():
                reasoning[event.index] += event.text
            case ToolCallDelta():
                calls[event.index][event.call] += event.arguments
    found = {choice.index: choice for choice in total(events).choices}
    assert set(found) == (text.keys() | reasoning.keys() | calls.keys() or {0})
    for index, choice in found.items():
        assert (choice.text, choice.reasoning) == (text[index], reasoning[index])
        arguments = [calls[index][call] or "{}" for call in sorted(calls[index])]
        assert [call.arguments for call in choice.tool_calls] == arguments


@given(st.text(max_size=30), st.lists(st.integers(0, 30), max_size=6))
def test_cuts_make_no_difference(text: str, places: list[int]) -> None:
    edges = sorted({0, len(text), *(min(place, len(text)) for place in places)})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    assert total([TextDelta(piece) for piece in pieces]).choices[0].text == text


def test_tool_calls_are_put_together_by_number() -> None:
    events = [
        ToolCallDelta(1, "b", "second"),
        ToolCallDelta(0, "a", "first", '{"x"'),
        ToolCallDelta(0, arguments=":1}"),
    ]
    [choice] = total([*events, Finish("tool_calls")]).choices
    assert choice.tool_calls == (ToolCall("a", "first", '{"x":1}'), ToolCall("b", "second", "{}"))
    assert choice.finish_reason == "tool_calls"
    assert all(json.loads(call.arguments) is not None for call in choice.tool_calls)


def test_asking_for_the_sum_changes_nothing() -> None:
    adding = Sum()
    assert adding.result().choices == (Choice(),)
    adding.add(TextDelta("second", 1))
    assert adding.result().choices == adding.result().choices == (Choice(1, "second"),)


def test_the_last_usage_wins_and_media_add_up() -> None:
    media = (Media("image", "a"), Media("image", "b"))
    events = [
        Thread("c"),
        TaskAccepted("t"),
        Usage(1),
        Progress(0.5),
        *media,
        Usage(5, 6),
        Finish(extra={"k": 1}),
    ]
    result = total(events)
    assert (result.media, result.usage, result.task_id, result.extra) == (media, Usage(5, 6), "t", {"k": 1})


def test_each_choice_has_its_own_reason() -> None:
    events = [TextDelta("a"), TextDelta("b", 1), Finish("stop", ("stop", "length"))]
    assert [choice.finish_reason for choice in total(events).choices] == ["stop", "length"]


def test_extra_fields_grow_and_merge() -> None:
    extras = [
        {"logprobs": {"content": [1]}, "kept": 1},
        {"logprobs": {"content": [2], "more": 3}},
        {"kept": 2},
    ]
    [choice] = total([TextDelta("", extra=extra) for extra in extras]).choices
    assert choice.extra == {"logprobs": {"content": [1, 2], "more": 3}, "kept": 2}
    assert extras[0] == {"logprobs": {"content": [1]}, "kept": 1}


def test_nothing_at_all_is_one_empty_choice_without_usage() -> None:
    assert total([]) == GenerationResult(choices=(Choice(),))


async def test_collect_is_the_sum_and_lets_errors_through() -> None:
    async def stream(*events: AnyEvent, fails: bool = False) -> AsyncGenerator[AnyEvent, None]:
        for event in events:
            yield event
        if fails:
            raise AnswerCut("cut")

    events = (TextDelta("a"), TextDelta("b"), Finish("length"))
    assert await collect(stream(*events)) == total(events)
    with pytest.raises(AnswerCut):
        await collect(stream(*events[:1], fails=True))
