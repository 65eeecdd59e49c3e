"""Tools in a prompt, and calls out of a text, however it was cut."""

import itertools
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.generation.events import TextDelta, ToolCallDelta
from gateway.generation.requests import GenerationRequest, Message, Sampling, TextPart, Tool, ToolChoice
from gateway_qwen_chat.tools import ToolCallParser, offered_tools, tool_prompt

WEATHER = Tool("weather", "The weather", {"type": "object", "properties": {"city": {"type": "string"}}})
TIME = Tool("time")


def ask(mode: str = "auto", name: str = "", **more: object) -> GenerationRequest:
    return GenerationRequest(
        chat_type="t2t",
        messages=(Message("user", (TextPart("x"),)),),
        tools=(WEATHER, TIME),
        tool_choice=ToolChoice(mode, name),
        **more,
    )


def parse(*pieces: str) -> tuple[str, list[ToolCallDelta]]:
    """Return the text and the calls of an answer that came in these pieces."""
    numbers = itertools.count()
    parser = ToolCallParser(lambda: f"call_{next(numbers)}")
    events = [event for piece in pieces for event in parser.feed(piece)] + parser.close()
    calls = [event for event in events if isinstance(event, ToolCallDelta)]
    assert len(calls) == parser.calls
    return "".join(event.text for event in events if isinstance(event, TextDelta)), calls


CALL = '<tool_call>{"name": "weather", "arguments": {"city": "</tool_call>"}}</tool_call>'

_fragments = st.sampled_from(
    [
        CALL,
        "<tool_call>",
        "</tool_call>",
        "<tool_call>{bad}</tool_call>",
        '{"name":"a"}',
        '{"name":"b","arguments":{"x":[1,"<tool_call>"]}}',
        *("<", "tool_call>", " ", "\n", "é", "text", "{", '"'),
    ]
)


@given(st.lists(_fragments, max_size=8).map("".join), st.data())
@example(CALL, None)
def test_every_cut_gives_the_same_text_and_calls(text: str, data: st.DataObject | None) -> None:
    whole = parse(text)
    assert parse(*text) == whole
    if data is not None:
        places = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
        bounds = [0, *places, len(text)]
        assert parse(*(text[start:end] for start, end in itertools.pairwise(bounds))) == whole


@given(st.text())
def test_a_text_without_calls_passes_unchanged(text: str) -> None:
    if "<tool_call>" not in text:
        assert parse(*text) == (text, [])


def test_text_before_a_call_streams_on_at_once() -> None:
    parser = ToolCallParser()
    assert parser.feed("Let me look") == [TextDelta("Let me look")]
    assert parser.feed(". <tool_c") == [TextDelta(".")]
    assert parser.feed("akes two.") == [TextDelta(" <tool_cakes two.")]


def test_a_call_comes_as_soon_as_it_is_closed() -> None:
    parser = ToolCallParser(lambda: "id")
    (call,) = parser.feed(CALL + "\n<tool_call>")
    assert call == ToolCallDelta(call=0, id="id", name="weather", arguments='{"city": "</tool_call>"}')
    assert parser.feed('{"name":"time"}</tool_call>') == [
        ToolCallDelta(call=1, id="id", name="time", arguments="{}")
    ]


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ('<tool_call>{"name":"a","arguments":{"x": 1}}</tool_call>', '{"x": 1}'),
        ('<tool_call>{"name":"a","arguments":"{\\"x\\":1}"}</tool_call>', '{"x":1}'),
        ('\n <tool_call>\n{"name":"a"}\n</tool_call>\n', "{}"),
        ('<tool_call>{"name":"a","arguments":{"x":1}}', '{"x":1}'),
    ],
)
def test_the_forms_of_a_call(text: str, arguments: str) -> None:
    said, (call,) = parse(text)
    assert (said, call.name, call.arguments) == ("", "a", arguments)


@pytest.mark.parametrize(
    "text",
    [
        '<tool_call>{"name":"a","arguments":[1]}</tool_call>',
        '<tool_call>{"name":"a","arguments":"x"}</tool_call>',
        '<tool_call>{"arguments":{}}</tool_call>',
        "<tool_call>{'name': 'a'}</tool_call>",
        "Use <tool_call> with care.",
        '<tool_call>{"name":"a","argum',
        "  <tool_cal",
        "\n\n",
    ],
)
def test_what_is_no_call_is_text(text: str) -> None:
    assert parse(text) == (text, [])


def test_blanks_around_calls_are_dropped_and_others_kept() -> None:
    assert parse(f"  Hm \n\n {CALL} \n {CALL}\n ")[0] == "  Hm"
    assert parse(f"{CALL}\n and more ")[0] == "\n and more"


def test_the_prompt_shows_each_tool_on_a_line_of_its_own() -> None:
    lines = tool_prompt(ask()).partition("<tools>\n")[2].partition("\n</tools>")[0].splitlines()
    first, second = map(json.loads, lines)
    assert first == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        },
    }
    assert second["function"]["name"] == "time"
    assert '<tool_call>{"name": ' in tool_prompt(ask())


def test_the_choice_is_honoured_in_the_prompt() -> None:
    assert tool_prompt(ask("none")) == ""
    assert "in plain text." in tool_prompt(ask("auto"))
    assert "Answer with a call now" in tool_prompt(ask("required"))
    named = tool_prompt(ask("named", "time"))
    assert "Call time now" in named
    assert "weather" not in named
    assert offered_tools(ask("named", "time")) == (TIME,)


def test_a_single_call_can_be_asked_for() -> None:
    assert "one call at most" in tool_prompt(ask(sampling=Sampling(parallel_tool_calls=False)))
    assert "one call at most" not in tool_prompt(ask(sampling=Sampling(parallel_tool_calls=True)))


def test_braces_in_schemas_do_not_break_the_prompt() -> None:
    request = ask("named", "{x}")
    assert tool_prompt(request) == ""
