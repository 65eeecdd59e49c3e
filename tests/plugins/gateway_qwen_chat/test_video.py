"""A video's creation and its states, in every form that was seen."""

import msgspec
import pytest

from gateway.generation.errors import InvalidAnswer
from gateway_qwen_chat.video import outline, read_creation, read_state, task_ids
from gateway_qwen_chat.wire import ChatMessage

URL = "https://cdn.example.test/t2v/a.mp4?key=k"


def read(status: dict) -> object:
    return read_state(msgspec.json.encode(status), lambda _: False)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ({"data": {"message_id": "m", "messages": [{"extra": {"wanx": {"task_id": "t"}}}]}}, ("t", "m")),
        ({"data": {"messages": [{"extra": None}, {"extra": {"wanx": {"task_id": "t"}}}]}}, ("t", "")),
        ({"messages": [{"extra": {"wanx": {"task_id": "t"}}}]}, ("t", "")),
        ({"data": {"task_id": "t"}}, ("t", "")),
        ({"task_id": "t", "data": {"message_id": "m"}}, ("t", "m")),
        ({"id": "no", "data": {"message_id": "m", "response_id": "no"}}, ("", "m")),
        ({"data": {"messages": [{"extra": {"wanx": {"task_id": 7}}}]}}, ("", "")),
    ],
)
def test_the_task_id_is_taken_from_its_two_places_only(answer: dict, expected: tuple) -> None:
    assert read_creation(msgspec.json.encode(answer)) == expected


def test_all_task_ids_of_a_chat() -> None:
    extras = [{"wanx": {"task_id": "a"}}, {}, None, [], {"wanx": "x"}, {"wanx": {"task_id": "b"}}]
    assert task_ids(ChatMessage(extra=extra) for extra in extras) == ["a", "b"]


@pytest.mark.parametrize("word", ["success", "SUCCEEDED", "Completed", "finished"])
@pytest.mark.parametrize(
    "where",
    [
        {"content": URL},
        {"result": URL},
        {"result": {"url": URL}},
        {"result": {"video_url": URL}},
        {"video_url": URL},
    ],
)
def test_a_finished_video_has_its_address(word: str, where: dict) -> None:
    for status in ({"task_status": word, **where}, {"data": {"task_status": word, **where}}):
        state = read(status)
        assert (state.status, state.media[0].url, state.media[0].kind) == ("completed", URL, "video")


@pytest.mark.parametrize("word", ["running", "pending", "queued", "processing", "Running"])
def test_a_video_in_the_making(word: str) -> None:
    assert read({"task_status": word, "content": "", "message": ""}).status == "running"


@pytest.mark.parametrize("word", ["failed", "error", "banana", "", None])
def test_every_other_word_is_a_failure(word: str | None) -> None:
    state = read({"task_status": word, "message": "See https://x.test/?key=k"})
    assert (state.status, state.error_code, state.error_message) == ("failed", "task_failed", "See (link)")


def test_a_filtered_video_says_so() -> None:
    assert read({"task_status": "failed", "message": "data_inspection_failed"}).error_code == "content_filter"


def test_success_without_an_address_is_a_failure() -> None:
    assert read({"task_status": "success", "content": ""}).status == "failed"


@pytest.mark.parametrize(("duration", "seconds"), [(5.04, 5.04), (None, 0.0), ("5", 0.0), (-1, 0.0)])
def test_the_length_is_told_where_it_is_a_number(duration: object, seconds: float) -> None:
    state = read({"task_status": "success", "content": URL, "duration": duration})
    assert state.usage.seconds == seconds


def test_a_status_of_another_form_is_invalid() -> None:
    with pytest.raises(InvalidAnswer):
        read({"task_status": 7})


def test_an_outline_shows_fields_and_no_content() -> None:
    assert outline({"a": [{"b": "secret"}], "c": None, "d": 1}) == "{a: [{b: str}], c: NoneType, d: int}"
