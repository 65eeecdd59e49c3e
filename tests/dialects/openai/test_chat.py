import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion

from gateway.generation.errors import GatewayError, InvalidRequest
from gateway.generation.events import AnyEvent
from gateway.generation.results import Sum
from tests.dialects.cases import CHAT, REQUEST, answer, call
from tests.dialects.events import streams

PATH = "/v1/chat/completions"
USER = {"role": "user", "content": "hi"}


def decode(**fields: Any) -> Any:
    return CHAT.decode(call(CHAT, PATH, {"model": "m", "messages": [USER], **fields}))


def said(part: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [part]}]}


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [USER, {"role": "alien"}]}, "messages[1].role"),
        ({"messages": [USER, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (said({"type": "text"}), "messages[0].content[0].text"),
        (said({"type": 5}), "messages[0].content[0].type"),
        (said({"type": "image_url"}), "messages[0].content[0].image_url"),
        (said({"type": "image_url", "image_url": {"url": 1}}), "messages[0].content[0].image_url.url"),
        (said({"type": "input_audio", "input_audio": ""}), "messages[0].content[0].input_audio"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"n": 0}, "n"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stop": 5}, "stop"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "web_search", "function": {"name": "f"}}]}, "tools[0].type"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"logit_bias": {"5": "x"}}, "logit_bias[...]"),
    ],
)
def test_the_field_at_fault_is_named(fields: dict[str, Any], param: str):
    assert refusal(**fields).param == param


def test_an_empty_text_part_and_an_empty_content_are_taken():
    content = [{"type": "text", "text": ""}]
    assert decode(messages=[{"role": "user", "content": content}, {"role": "assistant"}]).prompt == ""


def test_a_call_s_arguments_may_be_an_object():
    function = {"name": "f", "arguments": {"a": [1]}}
    (message,) = decode(messages=[{"role": "assistant", "tool_calls": [{"function": function}]}]).messages
    assert message.tool_calls[0].arguments == '{"a":[1]}'


def test_json_mode_needs_no_schema():
    assert decode(response_format={"type": "json_object"}).response_format.kind == "json_object"


@pytest.mark.parametrize("value", ["none", "auto"])
def test_an_older_function_call_is_a_tool_choice(value: str):
    assert decode(functions=[{"name": "f"}], function_call=value).tool_choice.mode == value


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["messages", "model", "tools", "tool_choice", "stop", "n", "response_format", "reasoning", "functions",
     "chat_template_kwargs", "stream_options", "logit_bias", "function_call", "seed", "user"]
)  # fmt: skip


@given(st.dictionaries(FIELDS, JSON, max_size=3))
def test_any_value_is_taken_or_refused(fields: dict[str, Any]):
    body = msgspec.json.encode({"model": "m", "messages": [USER], **fields})
    with suppress(InvalidRequest):
        assert msgspec.json.encode(CHAT.decode(call(CHAT, PATH, body)))


@given(streams())
def test_the_sdk_reads_every_answer(events: list[AnyEvent]):
    total = Sum()
    for event in events:
        total.add(event)
    body = answer(CHAT, REQUEST, total.result())
    completion = ChatCompletion.model_validate(body, strict=True)
    assert completion.usage
    assert completion.usage.total_tokens > 0
    assert [c.index for c in completion.choices] == [c.index for c in total.result().choices]


def kinds(kind: type[GatewayError]) -> list[type[GatewayError]]:
    return [kind, *(inner for child in kind.__subclasses__() for inner in kinds(child))]


@pytest.mark.parametrize("kind", kinds(GatewayError))
def test_every_error_has_four_keys(kind: type[GatewayError]):
    error = json.loads(CHAT.encode_error(kind("What went wrong."), "req-1"))["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["code"] == "insufficient_quota" or (error["type"] == "server_error") == (kind.status >= 500)
