from contextlib import aclosing

import pytest

from gateway.generation.errors import EmptyAnswer, InvalidRequest
from gateway.generation.events import (
    AnyEvent,
    Finish,
    ReasoningDelta,
    TextDelta,
    Thread,
    ToolCallDelta,
    Usage,
)
from gateway.generation.requests import GenerationRequest, MediaPart, Message, TextPart, ToolCall
from gateway.plugin_api.testing import ScriptedRun
from gateway_t2t import TextGenerator

pytestmark = pytest.mark.anyio
HELLO = (Message("user", (TextPart("Hello"),)),)


async def generate(*events: AnyEvent, messages: tuple[Message, ...] = HELLO) -> list[AnyEvent]:
    request = GenerationRequest(chat_type="t2t", messages=messages)
    async with aclosing(TextGenerator().generate(request, ScriptedRun(events))) as answer:
        return [event async for event in answer]


@pytest.mark.parametrize(
    "content", [TextDelta("Hi"), ReasoningDelta("Hm"), ToolCallDelta(0, "id", "name"), TextDelta("x", 1)]
)
async def test_text_reasoning_and_tool_calls_are_answers(content: AnyEvent) -> None:
    events = [Thread("chat"), content, Usage(1), Finish()]
    assert await generate(*events) == events


@pytest.mark.parametrize("before", [(), (Thread("chat"), Usage(1)), (TextDelta(""), ReasoningDelta(""))])
@pytest.mark.parametrize("end", [Finish(), Finish("tool_calls")])
async def test_success_without_content_is_an_error(before: tuple[AnyEvent, ...], end: Finish) -> None:
    with pytest.raises(EmptyAnswer):
        await generate(*before, end)


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_an_empty_answer_that_says_why_is_passed_on(reason: str) -> None:
    assert await generate(Finish(reason)) == [Finish(reason)]  # type: ignore[arg-type]


@pytest.mark.parametrize("messages", [(), (Message("user"),), (Message("system"), Message("user"))])
async def test_saying_nothing_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await generate(TextDelta("Hi"), Finish(), messages=messages)
    assert caught.value.param == "messages"


@pytest.mark.parametrize(
    "message",
    [
        Message("user", (MediaPart("image", "https://example.test/a.png"),)),
        Message("assistant", tool_calls=(ToolCall("id", "name"),)),
    ],
)
async def test_pictures_and_tool_calls_are_content_too(message: Message) -> None:
    assert await generate(TextDelta("Hi"), Finish(), messages=(message,)) == [TextDelta("Hi"), Finish()]
