"""What goes out, field by field, and both forms of what comes back."""

import time

import msgspec
import pytest

from gateway.generation.errors import InvalidAnswer, InvalidRequest
from gateway.generation.events import Thread
from gateway.generation.requests import (
    GenerationRequest,
    MediaPart,
    Message,
    TextPart,
    Thinking,
    UpstreamFile,
)
from gateway_qwen_chat.wire import Chat, Created, completion_body, new_chat_body, unwrap, wire_chat_type


def ask(chat_type: str = "t2t", *parts: MediaPart, **more: object) -> GenerationRequest:
    message = Message("user", (TextPart("Hi"), *parts))
    return GenerationRequest(chat_type=chat_type, model="qwen3-max", messages=(message,), **more)


def body(request: GenerationRequest, parent: str = "") -> dict:
    return msgspec.json.decode(completion_body(request, Thread("chat-1", parent)))


def test_a_new_chat_is_dated_in_milliseconds() -> None:
    made = msgspec.json.decode(new_chat_body(ask("t2v")))
    assert abs(made.pop("timestamp") / 1000 - time.time()) < 60
    assert made == {
        "models": ["qwen3-max"],
        "chat_type": "t2v",
        "title": "New Chat",
        "chat_mode": "normal",
        "project_id": "",
    }


def test_a_first_turn_has_no_parent() -> None:
    sent = body(ask())
    (message,) = sent.pop("messages")
    assert abs(sent.pop("timestamp") - time.time()) < 60
    assert sent == {
        "stream": True,
        "incremental_output": True,
        "chat_id": "chat-1",
        "chat_mode": "normal",
        "model": "qwen3-max",
        "parent_id": None,
    }
    assert len({message.pop("fid"), *message.pop("childrenIds")}) == 2
    message.pop("timestamp")
    assert message.pop("feature_config")["output_schema"] == "phase"
    assert message == {
        "parent_id": None,
        "parentId": None,
        "content": "Hi",
        "files": [],
        "models": ["qwen3-max"],
        "chat_type": "t2t",
        "sub_chat_type": "t2t",
        "extra": {"meta": {"subChatType": "t2t"}},
        "role": "user",
        "user_action": "chat",
    }


def test_a_later_turn_hangs_on_the_last_answer_in_three_places() -> None:
    sent = body(ask(), "answer-1")
    (message,) = sent["messages"]
    assert {sent["parent_id"], message["parent_id"], message["parentId"]} == {"answer-1"}


@pytest.mark.parametrize(
    ("thinking", "expected"),
    [
        (None, (False, None)),
        (Thinking(), (False, None)),
        (Thinking(enabled=True), (True, None)),
        (Thinking(enabled=False, budget=99), (False, None)),
        (Thinking(budget=99), (True, 99)),
        (Thinking(effort="high"), (True, None)),
        (Thinking(effort="none"), (False, None)),
    ],
)
def test_reasoning_is_a_switch_and_a_budget(thinking: Thinking | None, expected: tuple) -> None:
    features = body(ask(thinking=thinking))["messages"][0]["feature_config"]
    assert (features["thinking_enabled"], features.get("thinking_budget")) == expected


def test_a_picture_is_streamed_with_its_ratio() -> None:
    sent = body(ask("t2i", size="4:3", thinking=Thinking(enabled=True)))
    assert (sent["stream"], sent["size"]) == (True, "4:3")
    assert sent["messages"][0]["extra"] == {"meta": {"subChatType": "t2i"}}
    assert sent["messages"][0]["feature_config"]["thinking_enabled"] is False
    assert "size" not in body(ask("t2i"))


def test_a_video_is_not_streamed_and_names_its_ratio_twice() -> None:
    sent = body(ask("t2v", size="16:9"))
    assert (sent["stream"], sent["size"]) == (False, "16:9")
    assert sent["messages"][0]["extra"] == {"meta": {"subChatType": "t2v", "size": "16:9"}}


def test_a_video_of_a_picture_is_another_chat_type() -> None:
    picture = MediaPart("image", url="https://example.test/a.png")
    assert wire_chat_type(ask("t2v", picture)) == "i2v"
    assert wire_chat_type(ask("t2i", picture)) == "t2i"
    assert wire_chat_type(ask("t2v")) == "t2v"


def test_an_upload_goes_in_as_it_was_made() -> None:
    reference = '{"type":"image","url":"https://x.test/a?sig=1","id":"f"}'
    part = MediaPart("image", file_id="ours", uploaded=UpstreamFile("a.png", "image/png", 3, reference))
    assert body(ask("t2t", part))["messages"][0]["files"] == [msgspec.json.decode(reference)]


def test_a_public_picture_goes_in_by_its_url() -> None:
    part = MediaPart("image", url="https://x.test/pics/a%20b.png?x=1")
    assert body(ask("t2t", part))["messages"][0]["files"] == [
        {
            "type": "image",
            "name": "a%20b.png",
            "file_type": "image/png",
            "showType": "image",
            "file_class": "vision",
            "status": "uploaded",
            "url": "https://x.test/pics/a%20b.png?x=1",
        }
    ]


@pytest.mark.parametrize(
    "part",
    [
        MediaPart("image", url="data:image/png;base64,AA=="),
        MediaPart("image", file_id="not-uploaded"),
        MediaPart("file", url="https://example.test/a.pdf"),
        MediaPart("video", url="https://example.test/a.mp4"),
    ],
)
def test_what_the_provider_cannot_fetch_is_refused(part: MediaPart) -> None:
    with pytest.raises(InvalidRequest) as caught:
        completion_body(ask("t2t", part), Thread("chat-1"))
    assert caught.value.param == "messages"


_created = msgspec.json.Decoder(Created)


@pytest.mark.parametrize(
    "answer",
    [
        b'{"data":{"id":"x"}}',
        b'{"id":"x"}',
        b'{"id":"x","data":null}',
        b'{"id":"x","data":[]}',
    ],
)
def test_both_forms_of_an_answer_are_read(answer: bytes) -> None:
    assert unwrap(answer, _created).id == "x"


@pytest.mark.parametrize("answer", [b"", b"[]", b"{", b'{"data":{"id":7}}', b"\xff"])
def test_an_answer_of_another_form_is_invalid(answer: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        unwrap(answer, _created)


def test_a_chats_messages_are_found_in_its_map_and_its_list() -> None:
    chat = {
        "chat": {
            "history": {"messages": {"m1": {"role": "user", "content": "Hi"}}},
            "messages": [{"id": "m2", "content": None, "extra": {"wanx": {}}, "new_field": 1}],
        }
    }
    decoder = msgspec.json.Decoder(Chat)
    assert [message.id for message in unwrap(msgspec.json.encode({"data": chat}), decoder).messages] == [
        "m1",
        "m2",
    ]
    assert unwrap(b"{}", decoder).messages == []
