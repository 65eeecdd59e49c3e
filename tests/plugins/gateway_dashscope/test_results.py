"""The provider's answers and what they mean, word for word; and whatever JSON comes, never a crash."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.errors import ContentRefused, GatewayError, InvalidAnswer, TaskIdMissing
from gateway.generation.events import AnyEvent, Finish, Media, Usage
from gateway.plugin_api import EventDecoder, TaskState
from gateway.plugin_api.openai_wire import ChatAnswer
from gateway.plugin_api.testing import check_grammar
from gateway_dashscope.results import read_listing, read_pictures, read_prompt, read_state, read_task_id

GOLDEN = Path(__file__).parents[2] / "golden" / "dashscope"


@pytest.mark.parametrize("answer", sorted(GOLDEN.glob("*.answer.json")), ids=lambda path: path.name)
def test_every_state_is_read(answer: Path) -> None:
    expected = answer.with_name(answer.name.replace(".answer.", ".state."))
    assert read_state(answer.read_bytes()) == msgspec.json.decode(expected.read_bytes(), type=TaskState)


@pytest.mark.parametrize("stream", sorted(GOLDEN.glob("*.stream")), ids=lambda path: path.stem)
def test_every_cut_of_a_chat_gives_its_events(stream: Path) -> None:
    wire = stream.read_bytes()
    expected = msgspec.json.decode(stream.with_suffix(".events.json").read_bytes(), type=list[AnyEvent])
    check_grammar(expected)
    for place in range(len(wire) + 1):
        decoder, answer = EventDecoder(), ChatAnswer()
        frames = [*decoder.feed(wire[:place]), *decoder.feed(wire[place:]), *decoder.close()]
        assert [event for frame in frames for event in answer.add(frame.data)] == expected


def test_pictures_are_found_in_every_choice_and_every_item() -> None:
    def choice(*urls: str) -> dict[str, object]:
        return {"message": {"content": [*({"type": "image", "image": url} for url in urls), {"text": "x"}]}}

    output = {"choices": [choice("https://a/1", "https://a/2"), choice("https://a/3")]}
    usage = {"output_width": 10, "output_height": 20, "output_image_count": 3}
    assert read_pictures(json.dumps({"output": output, "usage": usage}).encode()) == [
        *(Media("image", f"https://a/{number}", width=10, height=20) for number in (1, 2, 3)),
        Usage(media=3, width=10, height=20),
        Finish(),
    ]


def test_an_error_inside_a_200_is_the_error_it_is() -> None:
    body = b'{"request_id":"r","code":"DataInspectionFailed","message":"no"}'
    for read in (read_pictures, read_state, read_task_id, read_prompt):
        with pytest.raises(ContentRefused, match="no"):
            read(body)


@pytest.mark.parametrize("task_id", [None, "", "../x", "a/b", "a?b", "é", "a" * 200])
def test_an_order_without_a_usable_id_is_an_error_that_may_have_cost_money(task_id: str | None) -> None:
    with pytest.raises(TaskIdMissing) as caught:
        read_task_id(json.dumps({"output": {"task_status": "PENDING", "task_id": task_id}}).encode())
    assert caught.value.sent


def test_a_finished_task_shows_its_prompt_and_a_running_one_does_not() -> None:
    assert read_prompt(b'{"output":{"task_status":"RUNNING","orig_prompt":"a"}}') is None
    assert read_prompt(b'{"output":{"task_status":"SUCCEEDED","orig_prompt":"a"}}') == "a"
    assert read_prompt(b'{"output":{"task_status":"SUCCEEDED","results":[{},{"orig_prompt":"b"}]}}') == "b"
    for word in ("FAILED", "CANCELED", "UNKNOWN"):
        assert read_prompt(f'{{"output":{{"task_status":"{word}"}}}}'.encode()) == ""


_WORDS = [
    "output",
    "usage",
    "code",
    "message",
    "choices",
    "results",
    "content",
    "image",
    "task_status",
    "url",
]
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.sampled_from(["SUCCEEDED", "x"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=15,
)


@given(_json)
def test_any_json_gives_a_state_or_one_of_our_errors(value: object) -> None:
    body = json.dumps(value).encode()
    for read in (read_state, read_pictures, read_task_id, read_prompt, read_listing):
        try:
            read(body)
        except GatewayError:
            continue


def test_a_page_is_no_answer() -> None:
    with pytest.raises(InvalidAnswer):
        read_state(b"<html>")
