"""Fields that make no difference are named."""

import pytest

from gateway.generation.requests import (
    GenerationRequest,
    Message,
    OtherPart,
    ResponseFormat,
    Sampling,
    TextPart,
    Thinking,
    Tool,
)
from gateway_qwen_chat.honoured import ignored_fields


def ask(chat_type: str = "t2t", **more: object) -> GenerationRequest:
    fields = {"messages": (Message("user", (TextPart("x"),)),), **more}
    return GenerationRequest(chat_type=chat_type, **fields)


TOOLS = (Tool("a"),)
FORM = ResponseFormat("json_object")


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (ask(), []),
        (ask(tools=TOOLS, response_format=FORM, thinking=Thinking(enabled=True, budget=9)), []),
        (ask(sampling=Sampling(temperature=0.0, seed=0)), ["sampling.temperature", "sampling.seed"]),
        (ask(sampling=Sampling(parallel_tool_calls=False)), ["sampling.parallel_tool_calls"]),
        (ask(tools=TOOLS, sampling=Sampling(parallel_tool_calls=False)), []),
        (ask(size="1:1", seconds=5.0, negative_prompt="x"), ["size", "seconds", "negative_prompt"]),
        (ask(thinking=Thinking(effort="high")), ["thinking.effort"]),
        (ask(thinking=Thinking(effort="none")), []),
        (ask(extra={"user": "x", "a\r\nb": 1}), ["extra.user", "extra"]),
        (ask(messages=(Message("user", (OtherPart({"type": "odd"}),)),)), ["messages"]),
        (ask("t2i", size="1:1", count=3), []),
        (ask("t2v", size="1:1", seconds=5.0), ["seconds"]),
        (ask("t2i", tools=TOOLS, response_format=FORM), ["tools", "response_format"]),
        (ask("t2i", thinking=Thinking(effort="high")), ["thinking"]),
    ],
)
def test_what_makes_no_difference_is_named(request_: GenerationRequest, names: list[str]) -> None:
    assert ignored_fields(request_) == names
