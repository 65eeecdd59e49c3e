from typing import Any

from hypothesis import given

from gateway.dialects.native.frames import NativeFrameEncoder
from gateway.generation.errors import GatewayError, PollTimeout
from gateway.generation.events import (
    AnyEvent,
    Finish,
    Media,
    Progress,
    TaskAccepted,
    TextDelta,
    Usage,
)
from tests.dialects.cases import REPLY, REQUEST, frames
from tests.dialects.events import bodies, errors, streams

EDGE = {"chatId": "c1", "parentId": REPLY.id}


def run(events: list[AnyEvent]) -> list[Any]:
    encoder = NativeFrameEncoder(REQUEST, REPLY)
    return [data for _, data in frames(b"".join(map(encoder.encode, events)))]


def test_text_carries_the_conversation_in_its_first_and_last_chunk():
    first, text, last, end = run([TextDelta("Hi"), Finish()])
    assert EDGE.items() <= first.items()
    assert EDGE.items() <= last.items()
    assert "chatId" not in text
    assert first["id"] == last["id"] == REPLY.id
    assert end == "[DONE]"


def test_a_film_shows_its_progress_and_then_the_whole_answer():
    film = Media("video", "/media/v.mp4")
    events = [Progress(0.1, "queue"), TaskAccepted("task-1"), Progress(0.5), film, Usage(1, 2), Finish()]
    queued, accepted, half, answer, end = run(events)
    assert (queued["object"], queued["stage"], queued["task_id"]) == ("chat.completion.progress", "queue", "")
    assert (accepted["task_id"], accepted["progress"], half["progress"]) == ("task-1", 0, 50)
    assert answer["object"] == "chat.completion"
    assert (
        answer["video_url"] == answer["choices"][0]["message"]["content"] == "http://gw.test:3264/media/v.mp4"
    )
    assert answer["task_id"] == answer["id"] == answer["parentId"] == "task-1"
    assert answer["usage"] == {"prompt_tokens": 1, "output_tokens": 2, "total_tokens": 3}
    assert end == "[DONE]"


def test_a_picture_between_texts_is_a_line_of_text():
    data = run([TextDelta("See: "), Media("image", "/media/a.png"), Finish()])
    content = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in data[:-1])
    assert content == "See: http://gw.test:3264/media/a.png\n"


def test_progress_stays_below_the_whole_until_the_end():
    data = run([Progress(-1.0), Progress(0.999), Progress(7.0), Media("video", "/v.mp4"), Finish()])
    assert [frame["progress"] for frame in data[:3]] == [0, 99, 99]


@given(streams())
def test_every_order_of_events_ends_once(events: list[AnyEvent]):
    *data, end = run([*events, Finish(), TextDelta("late")])
    assert end == "[DONE]"
    answers = [frame for frame in data if frame["object"] == "chat.completion"]
    choices = [choice for frame in data for choice in frame.get("choices", ())]
    finishes = [choice["index"] for choice in choices if choice["finish_reason"]]
    assert len(finishes) == len(set(finishes))
    assert len(finishes) >= 1
    assert answers in ([], data[-1:])


@given(bodies(), errors)
def test_an_error_is_the_last_frame(events: list[AnyEvent], error: GatewayError):
    encoder = NativeFrameEncoder(REQUEST, REPLY)
    body = b"".join(map(encoder.encode, events))
    data = [one for _, one in frames(body + encoder.encode_error(error) + encoder.encode(Finish()))]
    assert data[-1]["detail"] == error.message
    assert data[-1]["request_id"] == "req-1"
    assert "[DONE]" not in data


def test_an_error_is_written_in_the_native_form():
    encoder = NativeFrameEncoder(REQUEST, REPLY)
    ((_, data),) = frames(encoder.encode_error(PollTimeout("Still running.", task_id="task-1")))
    assert data["error"] == "Task polling timeout exceeded"
    assert data["task_id"] == "task-1"
    assert encoder.encode(Finish()) == b""
