from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from gateway.dialects.openai.chat_chunks import ChatChunkEncoder
from gateway.generation.errors import AnswerCut, GatewayError, RateLimited
from gateway.generation.events import AnyEvent, Finish, Media, TextDelta, ToolCallDelta, Usage
from gateway.generation.requests import Delivery, GenerationRequest
from gateway.generation.results import GenerationResult, Sum
from tests.dialects.cases import REPLY, REQUEST, frames
from tests.dialects.events import bodies, errors, streams

COUNTED = msgspec.structs.replace(REQUEST, delivery=Delivery(stream=True, include_usage=True))


def encoder(request: GenerationRequest = REQUEST, edge: dict[str, Any] | None = None) -> ChatChunkEncoder:
    return ChatChunkEncoder(request, REPLY, "chatcmpl-1", edge)


def run(chunks: ChatChunkEncoder, events: list[AnyEvent]) -> list[Any]:
    return [data for _, data in frames(b"".join(map(chunks.encode, events)))]


def fold(events: list[AnyEvent]) -> GenerationResult:
    total = Sum()
    for event in events:
        total.add(event)
    return total.result()


@given(st.text(), st.integers(0, 12), st.text(max_size=20), st.booleans())
def test_a_text_chunk_has_the_bytes_of_a_full_encoding(text: str, index: int, model: str, counted: bool):
    reply = msgspec.structs.replace(REPLY, model=model)
    chunks = ChatChunkEncoder(COUNTED if counted else REQUEST, reply, "chatcmpl-1")
    chunks.encode(TextDelta("first", index))
    choice = {"index": index, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": REPLY.created,
        "model": model,
        "choices": [choice],
    }
    expected = msgspec.json.encode(chunk | ({"usage": None} if counted else {}))
    assert chunks.encode(TextDelta(text, index)) == b"data: " + expected + b"\n\n"


@given(streams(), st.sampled_from([REQUEST, COUNTED]))
def test_every_order_of_events_ends_once(events: list[AnyEvent], request_: GenerationRequest):
    *data, end = run(encoder(request_), [*events, TextDelta("late"), Finish()])
    assert end == "[DONE]"
    assert "[DONE]" not in data
    chunks = [ChatCompletionChunk.model_validate(chunk, strict=True) for chunk in data]
    choices = [choice for chunk in chunks for choice in chunk.choices]
    finishes = Counter(choice.index for choice in choices if choice.finish_reason)
    assert set(finishes) == {choice.index for choice in choices}
    assert set(finishes.values()) == {1}
    assert [bool(chunk.choices) for chunk in chunks].count(False) == (request_ is COUNTED)
    assert all(("usage" in chunk) == (request_ is COUNTED) for chunk in data)


@given(streams())
def test_the_chunks_add_up_to_the_whole_answer(events: list[AnyEvent]):
    events = [event for event in events if not isinstance(event, Media)]
    data = run(encoder(), events)[:-1]
    for choice in fold(events).choices:
        deltas = [c["delta"] for chunk in data for c in chunk["choices"] if c["index"] == choice.index]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert "".join(delta.get("content", "") for delta in deltas) == choice.text
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == choice.reasoning
        calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
        arguments = "".join(call["function"]["arguments"] for call in calls)
        assert sorted(arguments) == sorted(
            "".join(c.arguments for c in choice.tool_calls if c.arguments != "{}")
        )


@given(bodies(), errors)
def test_an_error_is_the_last_frame(events: list[AnyEvent], error: GatewayError):
    chunks = encoder()
    body = b"".join(map(chunks.encode, events)) + chunks.encode_error(error)
    late = b"".join(map(chunks.encode, [TextDelta("late"), Finish()]))
    *data, last = [one for _, one in frames(body + late)]
    assert last["error"].keys() == {"message", "type", "param", "code"}
    assert "[DONE]" not in data
    assert all("error" not in chunk for chunk in data)


def test_an_error_ends_the_stream():
    chunks = encoder()
    chunks.encode(TextDelta("a"))
    ((_, data),) = frames(chunks.encode_error(AnswerCut("The answer was cut.")))
    assert data["error"] == {
        "message": "The answer was cut.",
        "type": "server_error",
        "param": None,
        "code": "upstream_error",
    }
    assert chunks.encode(TextDelta("late")) == chunks.encode(Finish()) == b""


def test_an_error_before_anything_else_is_a_frame_too():
    assert b"rate_limit_exceeded" in encoder().encode_error(RateLimited("Too many."))


def test_only_the_first_piece_of_a_call_names_it():
    pieces = [ToolCallDelta(0, "c1", "f"), ToolCallDelta(1, "c2", "g", "{"), ToolCallDelta(1, arguments="}")]
    data = run(encoder(), [*pieces, Finish()])
    calls = [chunk["choices"][0]["delta"].get("tool_calls") for chunk in data[1:-2]]
    assert calls == [
        [{"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": ""}}],
        [{"index": 1, "id": "c2", "type": "function", "function": {"name": "g", "arguments": "{"}}],
        [{"index": 1, "function": {"arguments": "}"}}],
    ]
    assert data[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_provider_s_fields_are_merged():
    text = TextDelta("a", extra={"logprobs": {"content": []}})
    data = run(encoder(), [text, text, Finish(extra={"vendor": 1})])
    assert [chunk["choices"][0]["logprobs"] for chunk in data[1:3]] == [{"content": []}] * 2
    assert data[3]["vendor"] == 1


def test_usage_comes_from_the_provider_or_is_estimated():
    told = run(encoder(COUNTED), [Usage(3, 4), TextDelta("a"), Usage(5, 6), Finish()])[-2]
    assert told["choices"] == []
    assert (told["usage"]["prompt_tokens"], told["usage"]["total_tokens"]) == (5, 11)
    guessed = run(encoder(COUNTED), [TextDelta("x" * 40), TextDelta("x" * 40), Finish()])[-2]["usage"]
    assert guessed["prompt_tokens"] == 4
    assert guessed["completion_tokens"] == pytest.approx(20, abs=1)


def test_a_call_that_was_cut_short_says_so():
    data = run(encoder(), [ToolCallDelta(0, "c1", "f"), Finish("length")])
    assert data[-2]["choices"][0]["finish_reason"] == "length"


def test_the_edge_is_on_the_first_and_the_last_chunk_of_choices():
    data = run(encoder(COUNTED, {"chatId": "c1"}), [TextDelta("a"), TextDelta("b", 1), Finish()])
    assert ["chatId" in chunk for chunk in data[:-1]] == [True, False, False, False, False, True, False]


def test_media_become_absolute_addresses():
    data = run(encoder(), [Media("image", "/media/a.png"), Finish()])
    assert data[1]["choices"][0]["delta"]["content"] == "http://gw.test:3264/media/a.png\n"
