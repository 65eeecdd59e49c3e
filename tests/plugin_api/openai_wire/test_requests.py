"""Every field of the vocabulary finds its place on OpenAI's wire, or is named as ignored."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.generation.requests import (
    Delivery,
    GenerationRequest,
    MediaPart,
    Message,
    OtherPart,
    Part,
    ResponseFormat,
    Sampling,
    TextPart,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
)
from gateway.plugin_api.openai_wire import encode_chat, unsent_by_chat

HELLO = GenerationRequest(chat_type="t2t", model="m", messages=(Message("user", (TextPart("Hi"),)),))


def written(**change: Any) -> Any:
    return json.loads(encode_chat(replace(HELLO, **change), usage=True))


def test_sampling_keeps_openais_names() -> None:
    sampling = Sampling(
        temperature=0.0,
        top_p=0.5,
        max_tokens=7,
        stop=("a", "b"),
        seed=1,
        presence_penalty=0.1,
        frequency_penalty=0.2,
        logit_bias={"5": 1.0},
        logprobs=True,
        top_logprobs=2,
        parallel_tool_calls=False,
    )
    body = written(sampling=sampling)
    fields = {name: getattr(sampling, name) for name in Sampling.__struct_fields__}
    assert {name: body[name] for name in fields} == {**fields, "stop": ["a", "b"]}


def test_choices_thinking_and_delivery() -> None:
    body = written(count=2, thinking=Thinking(True, 100, "high"), delivery=Delivery(stream=True))
    assert (body["n"], body["stream"], body["stream_options"]) == (2, True, {"include_usage": True})
    assert (body["enable_thinking"], body["thinking_budget"], body["reasoning_effort"]) == (True, 100, "high")
    assert written(thinking=Thinking(enabled=False))["enable_thinking"] is False


def test_tools() -> None:
    schema = {"type": "object", "properties": {}}
    body = written(tools=(Tool("f", "does", schema, True), Tool("g")), tool_choice=ToolChoice("named", "f"))
    function = {"name": "f", "description": "does", "parameters": schema, "strict": True}
    assert body["tools"] == [
        {"type": "function", "function": function},
        {"type": "function", "function": {"name": "g"}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert written(tool_choice=ToolChoice("required"))["tool_choice"] == "required"


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (ResponseFormat("json_object"), {"type": "json_object"}),
        (
            ResponseFormat("json_schema", "n", {"type": "object"}, True),
            {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True},
            },
        ),
    ],
)
def test_response_formats(form: ResponseFormat, expected: dict[str, Any]) -> None:
    assert written(response_format=form)["response_format"] == expected


def test_a_conversation_with_tool_calls() -> None:
    messages = (
        Message("system", (TextPart("Be brief."),), name="boss"),
        Message("assistant", tool_calls=(ToolCall("1", "f", '{"a":1}'),), reasoning="Hm."),
        Message("tool", (TextPart("7"),), tool_call_id="1"),
        Message("user"),
    )
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    assert written(messages=messages)["messages"] == [
        {"role": "system", "content": "Be brief.", "name": "boss"},
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "Hm."},
        {"role": "tool", "content": "7", "tool_call_id": "1"},
        {"role": "user", "content": ""},
    ]


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (
            MediaPart("image", "data:image/png;base64,AQI=", detail="low"),
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AQI=", "detail": "low"}},
        ),
        (
            MediaPart("image", "https://x.test/a"),
            {"type": "image_url", "image_url": {"url": "https://x.test/a"}},
        ),
        (
            MediaPart("video", "https://x.test/a"),
            {"type": "video_url", "video_url": {"url": "https://x.test/a"}},
        ),
        (
            MediaPart("audio", "https://x.test/a"),
            {"type": "audio_url", "audio_url": {"url": "https://x.test/a"}},
        ),
        (
            MediaPart("audio", "data:audio/wav;base64,AQI="),
            {"type": "input_audio", "input_audio": {"data": "AQI=", "format": "wav"}},
        ),
        (
            MediaPart("file", "data:application/pdf;base64,AQI=", name="a.pdf"),
            {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AQI="}},
        ),
        (OtherPart({"type": "x", "y": 1}), {"type": "x", "y": 1}),
    ],
)
def test_parts(part: Part, expected: dict[str, Any]) -> None:
    [message] = written(messages=(Message("user", (TextPart("See"), part)),))["messages"]
    assert message["content"] == [{"type": "text", "text": "See"}, expected]


def test_unknown_fields_reach_the_provider_and_never_replace_ours() -> None:
    body = written(extra={"top_k": 5, "model": "other", "nested": {"a": [1]}})
    assert (body["top_k"], body["model"], body["nested"]) == (5, "m", {"a": [1]})


def test_what_has_no_place_is_named() -> None:
    assert unsent_by_chat(HELLO) == []
    assert unsent_by_chat(replace(HELLO, size="1:1", negative_prompt="x")) == ["size", "negative_prompt"]
