# ruff: noqa: RUF001  # the full-width colon of Chinese is meant
"""What the answering machine obeys, in words that users and test-suites really write."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway_sandbox.records import Attachment
from gateway_sandbox.speech import AttachedFile, Question, compose

TOOLS = """You can call these functions:
<tools>
{"type":"function","function":{"name":"get_weather","description":"Current weather of a city","parameters":\
{"type":"object","properties":{"city":{"type":"string"},"unit":{"type":"string","enum":["celsius","kelvin"]}},\
"required":["city"]}}}
{"type":"function","function":{"name":"addNumbers","description":"Sum of two numbers","parameters":\
{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}}}
</tools>

To call a function, answer with exactly this, a JSON object:
<tool_call>{"name": "...", "arguments": {}}</tool_call>%s

"""


def answer(prompt, *history, seed=0):
    return compose(Question(prompt, history, seed=seed)).text


def call(text):
    assert text.startswith("<tool_call>")
    assert text.endswith("</tool_call>")
    return json.loads(text.removeprefix("<tool_call>").removesuffix("</tool_call>"))


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("echo hello world", "hello world"),
        ("Please repeat after me: Ünïcödé 你好 🎉", "Ünïcödé 你好 🎉"),
        ("Echo:\nline one\nline two", "line one\nline two"),
        ("повтори за мной: привет", "привет"),
        ("重复：你好", "你好"),
        ("You are terse. Echo this", "this"),
        ("Say 'pong' and nothing else.", "pong"),
        ("Reply with exactly: OK", "OK"),
        ("Reply with the single word banana", "banana"),
        ('Answer only with "yes, sir"', "yes, sir"),
        ("ping", "pong"),
        ("Count to 3", "1, 2, 3"),
        ("count from 3 to 6, one per line", "3\n4\n5\n6"),
        ("Count down from five to two", "5, 4, 3, 2"),
        ("посчитай до 4", "1, 2, 3, 4"),
        ("从1数到3", "1, 2, 3"),
        ("What is 17 * 23?", "17 * 23 = 391"),
        ("7 / 2", "7 / 2 = 3.5"),
        ("what is 1 / 0?", "A number cannot be divided by zero."),
    ],
)
def test_simple_instructions(prompt, expected):
    assert answer(prompt) == expected


@pytest.mark.parametrize("words", [1, 7, 500, 2000])
def test_a_number_of_words_is_met(words):
    assert len(answer(f"Write a story of {words} words").split()) == words


def test_equal_questions_get_equal_answers_and_seeds_vary_them():
    assert answer("tell me about rivers") == answer("tell me about rivers")
    assert len({answer("tell me about rivers", seed=seed) for seed in range(8)}) > 1


@pytest.mark.parametrize(("prompt", "letter"), [("Как дела?", "ы"), ("你好吗", "的"), ("How are you?", "e")])
def test_the_language_of_the_question(prompt, letter):
    assert letter in answer(prompt)


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("What did I say first?", "hello, I am Ada"),
        ("what did I just say?", "remember the number 42"),
        ("What is my name?", "Your name is Ada."),
        ("what is my favourite colour", "Your favourite colour is teal."),
        ("What number did I ask you to remember?", "42"),
        ("What is my shoe size?", "You have not told me"),
    ],
)
def test_what_was_said_is_remembered(prompt, expected):
    said = ["hello, I am Ada", "my favourite colour is teal", "remember the number 42"]
    history = [turn for text in said for turn in (("user", text), ("assistant", "All right."))]
    assert expected in answer(prompt, *history)
    flattened = "\n\n".join(f"{role.title()}: {text}" for role, text in [*history, ("user", prompt)])
    assert expected in answer(flattened)


def test_a_flattened_conversation_answers_its_last_question():
    assert answer("Be terse.\n\nUser: count to 3\n\nAssistant: 1, 2, 3\n\nUser: echo done") == "done"


@pytest.mark.parametrize(
    ("text", "name", "arguments"),
    [
        ("What's the weather in Paris?", "get_weather", {"city": "Paris"}),
        ("weather in New York in kelvin please", "get_weather", {"city": "New York", "unit": "kelvin"}),
        ("add the numbers 2 and 40", "addNumbers", {"a": 2, "b": 40}),
        ("use addNumbers", "addNumbers", None),
    ],
)
def test_a_tool_that_fits_is_called(text, name, arguments):
    made = call(answer(TOOLS % "" + f"User: {text}"))
    assert made["name"] == name
    if arguments is not None:
        assert made["arguments"] == arguments
    else:
        assert {type(value) for value in made["arguments"].values()} == {int}


def test_no_tool_is_called_for_small_talk_unless_demanded():
    assert "<tool_call>" not in answer(TOOLS % "" + "User: hello there")
    assert "get_weather" in answer(
        TOOLS % "\nAnswer with a call now, not in plain text." + "User: hello there"
    )


def test_the_rules_of_calling_are_not_taken_for_a_wish():
    assert answer(TOOLS % "" + "User: hello there").startswith("You wrote")


@pytest.mark.parametrize(
    ("result", "said"), [('{"temp": 22, "sky": "clear"}', "temp is 22, sky is clear"), ("sunny", "sunny")]
)
def test_results_are_told_in_plain_words(result, said):
    turn = f"Tool: \n<tool_response>\n{result}\n</tool_response>"
    whole = TOOLS % "" + f"User: weather in Paris?\n\nAssistant: <tool_call>{{}}</tool_call>\n\n{turn}"
    assert said in answer(whole)
    assert said in answer(TOOLS % "" + turn)
    assert said not in answer(f"{whole}\n\nAssistant: fine\n\nUser: echo thanks")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"function": 1}',
        '{"function":{"name":1}}',
        '{"function":{"name":"x","parameters":[]}}',
    ],
)
def test_a_broken_tool_line_is_no_tool(line):
    assert answer(f"<tools>\n{line}\n</tools>\n\nUser: echo fine") == "fine"


def test_json_by_schema_by_keys_and_by_nothing():
    schema = '{"type":"object","properties":{"city":{"type":"string"},"people":{"type":"integer"}}}'
    rule = f"Answer with one JSON object and nothing else. It must fit this JSON Schema:\n{schema}\n\n"
    assert json.loads(answer(f"{rule}User: Paris has 2 million people")) == {"city": "Paris", "people": 2}
    assert list(json.loads(answer("Return a JSON object with keys name and age"))) == ["name", "age"]
    assert isinstance(json.loads(answer("Reply in JSON: how are you?")), dict)


def test_files_are_named_and_quoted():
    notes = Attachment(name="a.txt", kind="file", media_type="text/plain", url="u", path="p", size=9)
    picture = Attachment(name="b.png", kind="image", media_type="image/png", url="u")
    files = (AttachedFile(notes, "Dear diary"), AttachedFile(picture))
    text = compose(Question("what are these?", files=files)).text
    assert "2 files" in text
    assert "a.txt (text/plain, 9 bytes). First line: “Dear diary”" in text
    assert "b.png (image/png)" in text


@given(
    st.text(), st.lists(st.tuples(st.sampled_from(["user", "assistant", "system"]), st.text()), max_size=4)
)
def test_whatever_is_asked_there_is_an_answer(prompt, history):
    made = compose(Question(prompt, tuple(history)))
    assert made.thoughts
    assert made == compose(Question(prompt, tuple(history)))


@given(
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1).filter(
        lambda t: t == t.strip() and t[0] not in "\"'“«:：,"
    )
)
def test_an_echo_is_exact(text):
    if not any(mark in text for mark in ("User:", "Tool:", "<tool")):
        assert answer(f"echo {text}") == text


def test_a_huge_prompt_is_answered_in_no_time():
    began = time.process_time()
    assert answer("x" * 2_000_000 + "\necho end") == "end"
    for tag in ("<tools>", "<tool_response>", "<tool_call>", "{", "User: ", "count ", "remember "):
        assert answer(tag * 100_000 + "\n\nUser: echo end") == "end"
    assert time.process_time() - began < 5
