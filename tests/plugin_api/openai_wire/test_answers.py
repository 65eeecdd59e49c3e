"""The same answers on the wire and as events; and whatever a server sends, events or one of our errors."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.errors import AnswerCut, GatewayError
from gateway.generation.events import AnyEvent, TextDelta
from gateway.plugin_api import EventDecoder
from gateway.plugin_api.openai_wire import ChatAnswer
from gateway.plugin_api.testing import check_grammar

GOLDEN = Path(__file__).parents[2] / "golden" / "openai_compatible"
STREAMS = sorted(GOLDEN.glob("*.stream"))


def read(*pieces: bytes) -> list[AnyEvent]:
    decoder, answer = EventDecoder(), ChatAnswer()
    frames = [frame for piece in pieces for frame in decoder.feed(piece)] + decoder.close()
    events = [event for frame in frames for event in answer.add(frame.data)]
    return events if answer.done else [*events, answer.finish()]


@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_every_cut_of_a_stream_gives_its_events(stream: Path) -> None:
    wire = stream.read_bytes()
    events = msgspec.json.decode(stream.with_suffix(".events.json").read_bytes(), type=list[AnyEvent])
    check_grammar(events)
    for place in range(len(wire) + 1):
        assert read(wire[:place], wire[place:]) == events


@pytest.mark.parametrize("stream", STREAMS, ids=lambda path: path.stem)
def test_a_stream_cut_before_its_finish_reason_is_never_a_success(stream: Path) -> None:
    frames = stream.read_bytes().replace(b"\r\n", b"\n").split(b"\n\n")
    whole = [frame for frame in frames if b'"finish_reason":null' in frame]
    for count in range(len(whole) + 1):
        for end in (b"", b"data: [DONE]\n\n"):
            with pytest.raises(AnswerCut):
                read(b"\n\n".join([*whole[:count], end]))


@pytest.mark.parametrize("word", ["abort", "error", "insufficient_system_resource"])
def test_a_server_that_broke_off_is_a_cut(word: str) -> None:
    frame = {"choices": [{"index": 0, "delta": {}, "finish_reason": word}]}
    with pytest.raises(AnswerCut):
        ChatAnswer().add(json.dumps(frame).encode())


def test_one_choice_of_two_that_is_cut_makes_a_cut() -> None:
    answer = ChatAnswer()
    answer.add(b'{"choices":[{"index":0,"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}')
    answer.add(b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}')
    with pytest.raises(AnswerCut):
        answer.add(b"[DONE]")


def test_whole_answers_and_streams_become_the_same_events() -> None:
    message = {"role": "assistant", "content": "Hi", "reasoning_content": "Hm", "vendor": 1}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    whole = {"id": "x", "object": "chat.completion", "choices": [choice], "usage": {"prompt_tokens": 3}}
    answer = ChatAnswer()
    events = [*answer.add(json.dumps(whole).encode()), answer.finish()]
    assert msgspec.to_builtins(events) == [
        {"type": "reasoning.delta", "text": "Hm"},
        {"type": "text.delta", "text": "Hi", "extra": {"vendor": 1}},
        {"type": "usage", "inputTokens": 3},
        {"type": "finish"},
    ]


texts = st.text(max_size=4) | st.sampled_from(
    ["content", "bench", "delta", ",", ":", '"', "}", "\\", "é", "[DONE]"]
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "content": texts | st.none(),
        "reasoning_content": texts | st.none(),
        "refusal": texts,
        "role": st.just("assistant"),
        "vendor": texts,
        "tool_calls": st.just([{"id": "1", "function": {"name": "f", "arguments": "{}"}}]),
    },
)
choices = st.fixed_dictionaries(
    {"delta": deltas | st.builds(lambda text: {"content": text}, texts)},
    optional={"index": st.integers(0, 1), "finish_reason": st.sampled_from([None, "stop"])},
)


@given(st.lists(choices, max_size=12), st.booleans())
def test_what_is_learned_from_earlier_chunks_changes_no_event(choices: list[Any], escaped: bool) -> None:
    """The other answer learns nothing: no two of its chunks begin or end alike."""
    learning, unlearned = ChatAnswer(), ChatAnswer()
    for number, choice in enumerate(choices):
        chunk = {"id": "bench", "choices": [choice]}
        data = json.dumps(chunk, ensure_ascii=escaped).encode("utf-8", "replace")
        apart = b'{"created":%d,%b,"obfuscation":"%d"}' % (number, data[1:-1], number)
        assert outcome(learning, data) == outcome(unlearned, apart)
    assert outcome(learning, b"[DONE]") == outcome(unlearned, b"[DONE]")


def outcome(answer: ChatAnswer, data: bytes) -> Any:
    try:
        return list(answer.add(data))
    except GatewayError as error:
        return type(error)


@pytest.mark.parametrize(
    "data",
    [
        b'{"choices":[{"delta":{"content":"a","refusal":"b"}}]}',
        b'{"choices":[{"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}',
        b'{"choices":[{"delta":{"content":"a\xff"}}]}',
        b'{"choices":[{"delta":{"content":"a}}]}',
        b'{"choices":[{"delta":{"content":"}}]}',
    ],
)
def test_a_chunk_that_only_begins_and_ends_like_others_is_read_as_a_whole(data: bytes) -> None:
    learning = ChatAnswer()
    for text in (b"x", b"y"):
        learning.add(b'{"choices":[{"delta":{"content":"%b"}}]}' % text)
    assert outcome(learning, data) == outcome(ChatAnswer(), data)


def test_a_word_that_stands_elsewhere_too_is_not_taken_for_the_text() -> None:
    answer = ChatAnswer()
    answer.add(b'{"id":"word","choices":[{"delta":{"content":"word"}}]}')
    assert answer.add(b'{"id":"other","choices":[{"delta":{"content":"word"}}]}') == [TextDelta("word")]


def test_a_finish_reason_beside_a_text_counts_each_time() -> None:
    answer = ChatAnswer()
    answer.add(b'{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}')
    answer.add(b'{"choices":[{"delta":{"tool_calls":[{"id":"1","function":{"name":"f"}}]}}]}')
    answer.add(b'{"choices":[{"delta":{"content":"b"},"finish_reason":"stop"}]}')
    assert answer.finish().reason == "tool_calls"


def test_a_refusal_is_text() -> None:
    [event] = ChatAnswer().add(b'{"choices":[{"delta":{"content":null,"refusal":"No."}}]}')
    assert event == TextDelta("No.")


def test_what_comes_after_the_end_marker_does_not_count() -> None:
    answer = ChatAnswer()
    answer.add(b'{"choices":[{"delta":{},"finish_reason":"stop"}]}')
    assert len(answer.add(b"[DONE]")) == 1
    assert answer.add(b"[DONE]") == answer.add(b"garbage") == ()


_WORDS = [
    "choices",
    "delta",
    "message",
    "content",
    "index",
    "finish_reason",
    "usage",
    "error",
    "code",
    "tool_calls",
    "function",
    "arguments",
    "id",
    "object",
    "type",
    "logprobs",
    "x",
]
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.text(max_size=5) | st.floats(allow_nan=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(_WORDS),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_nearly = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({}, optional={"delta": _json, "index": _json, "x": _json}))},
    optional={"usage": _json, "error": _json, "finish_reason": _json},
)


@given(st.lists(_json | _nearly, max_size=3))
def test_any_json_gives_events_or_one_of_our_errors(chunks: list[Any]) -> None:
    answer = ChatAnswer()
    try:
        events = [event for chunk in chunks for event in answer.add(json.dumps(chunk).encode())]
        events.append(answer.finish())
    except GatewayError:
        return
    check_grammar(events)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_json_are_one_of_our_errors(data: bytes) -> None:
    with pytest.raises(GatewayError):
        ChatAnswer().add(b"<" + data)
