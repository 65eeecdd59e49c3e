"""A conversation as one message."""

from gateway.generation.requests import (
    GenerationRequest,
    MediaPart,
    Message,
    ResponseFormat,
    TextPart,
    Tool,
    ToolCall,
)
from gateway_qwen_chat.history import compose


def say(role: str, text: str, **more: object) -> Message:
    return Message(role, (TextPart(text),) if text else (), **more)


def ask(*messages: Message, **more: object) -> GenerationRequest:
    return GenerationRequest(**{"chat_type": "t2t", "messages": messages, **more})


def test_a_lone_question_is_itself() -> None:
    assert compose(ask(say("user", "User: hi\n")), first=True).text == "User: hi\n"


def test_the_system_text_stands_in_front_on_the_first_turn_only() -> None:
    request = ask(say("system", "Be brief."), say("user", "Hi"))
    assert compose(request, first=True).text == "Be brief.\n\nUser: Hi"
    assert compose(request, first=False).text == "Hi"


def test_a_first_turn_writes_the_whole_conversation_out() -> None:
    request = ask(
        say("system", "Be brief."),
        say("user", "Weather in Rome?"),
        say("assistant", "", tool_calls=(ToolCall("c1", "weather", '{"city":"Rome"}'),)),
        say("tool", '{"sky":"blue"}', tool_call_id="c1"),
        say("assistant", "Blue sky."),
        say("user", "And now?"),
    )
    assert compose(request, first=True).text == (
        "Be brief.\n\n"
        "User: Weather in Rome?\n\n"
        'Assistant: <tool_call>{"name": "weather", "arguments": {"city":"Rome"}}</tool_call>\n\n'
        'Tool: <tool_response>\n{"sky":"blue"}\n</tool_response>\n\n'
        "Assistant: Blue sky.\n\n"
        "User: And now?"
    )


def test_a_later_turn_carries_only_what_came_after_the_last_answer() -> None:
    request = ask(say("user", "One"), say("assistant", "Two"), say("user", "Three"), say("user", "Four"))
    assert compose(request, first=False).text == "User: Three\n\nUser: Four"
    assert compose(ask(say("user", "One"), say("assistant", "Two")), first=False).text == "Assistant: Two"


def test_tool_results_of_a_later_turn_go_with_the_tools() -> None:
    request = ask(
        say("user", "Weather?"),
        say("assistant", "", tool_calls=(ToolCall("c1", "weather"),)),
        say("tool", "blue"),
        tools=(Tool("weather"),),
    )
    text = compose(request, first=False).text
    assert text.startswith("You can call these functions.")
    assert text.endswith("Tool: <tool_response>\nblue\n</tool_response>")
    assert "Weather?" not in text


def test_a_format_is_asked_for_in_words() -> None:
    plain = ask(say("user", "Hi"), response_format=ResponseFormat("text"))
    assert compose(plain, first=True).text == "Hi"
    loose = ask(say("user", "Hi"), response_format=ResponseFormat("json_object"))
    assert compose(loose, first=False).text.startswith("Answer with one JSON object and nothing else")
    schema = {"type": "object", "properties": {"é": {"type": "string"}}}
    strict = ask(say("user", "Hi"), response_format=ResponseFormat("json_schema", schema=schema))
    assert '{"type":"object","properties":{"é":{"type":"string"}}}' in compose(strict, first=True).text


def test_a_picture_is_made_from_its_prompt_alone() -> None:
    picture = MediaPart("image", url="https://example.test/a.png")
    request = ask(
        say("system", "Be brief."),
        say("user", "A cat"),
        say("assistant", "Here."),
        Message("user", (TextPart("Make it "), picture, TextPart("blue"))),
        chat_type="t2i",
    )
    turn = compose(request, first=True)
    assert turn.text == "Make it blue"
    assert turn.attachments == (picture,)


def test_attachments_of_all_that_is_said_go_along() -> None:
    first, second = (MediaPart("file", file_id=name) for name in "ab")
    request = ask(Message("user", (first,)), say("assistant", "?"), Message("user", (second, TextPart("x"))))
    assert compose(request, first=True).attachments == (first, second)
    assert compose(request, first=False).attachments == (second,)
