"""Recorded streams and the events that they are, however the bytes were cut."""

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.errors import AnswerCut, EmptyAnswer, GatewayError, InvalidAnswer
from gateway.generation.events import AnyEvent, Finish, Media, Thread
from gateway.generation.requests import GenerationRequest, Message, TextPart, Tool
from gateway.plugin_api import EventDecoder
from gateway.plugin_api.testing import check_grammar
from gateway_qwen_chat.reader import AnswerReader
from gateway_qwen_chat.tools import ToolCallParser

GOLDEN = Path(__file__).parents[2] / "golden" / "qwen_chat"
WHOLE = sorted(GOLDEN.glob("*.events.json"))
FAILED = sorted(GOLDEN.glob("*.error.json"))
STREAMS = sorted(GOLDEN.glob("*.stream"))


def name_of(path: Path) -> str:
    return path.name.partition(".")[0]


def make_reader(name: str) -> AnswerReader:
    request = GenerationRequest(
        chat_type="t2i" if name.startswith("t2i") else "t2t",
        messages=(Message("user", (TextPart("x"),)),),
        tools=(Tool("weather"), Tool("time")) if name.startswith("tools") else (),
    )
    return AnswerReader(request, "chat-1", lambda _: False)


def read(name: str, pieces: list[bytes]) -> tuple[list[AnyEvent], GatewayError | None]:
    decoder, reader = EventDecoder(), make_reader(name)
    events: list[AnyEvent] = []
    try:
        for piece in pieces:
            for frame in decoder.feed(piece):
                events += reader.read(frame.data)
        for frame in decoder.close():
            events += reader.read(frame.data)
        return events + reader.close(), None
    except GatewayError as error:
        return events, error


def frame(**delta: Any) -> bytes:
    return json.dumps({"choices": [{"delta": {"phase": "answer", "status": "typing", **delta}}]}).encode()


@pytest.fixture(autouse=True)
def _count_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give tool calls ids that can be written down."""

    def numbered() -> ToolCallParser:
        numbers = itertools.count()
        return ToolCallParser(lambda: f"call_{next(numbers)}")

    monkeypatch.setattr("gateway_qwen_chat.reader.ToolCallParser", numbered)


@pytest.mark.parametrize("path", WHOLE, ids=name_of)
def test_every_cut_of_a_stream_gives_its_events(path: Path) -> None:
    name = name_of(path)
    wire = (GOLDEN / f"{name}.stream").read_bytes()
    events = msgspec.json.decode(path.read_bytes(), type=list[AnyEvent])
    check_grammar(events)
    for place in range(len(wire) + 1):
        assert read(name, [wire[:place], wire[place:]]) == (events, None)
    assert read(name, [bytes([byte]) for byte in wire]) == (events, None)


@pytest.mark.parametrize("path", FAILED, ids=name_of)
def test_every_cut_of_a_failing_stream_gives_its_error(path: Path) -> None:
    name = name_of(path)
    wire = (GOLDEN / f"{name}.stream").read_bytes()
    expected = json.loads(path.read_bytes())
    events = msgspec.convert(expected.pop("events"), list[AnyEvent])
    kind = expected.pop("error")
    for place in range(len(wire) + 1):
        seen, error = read(name, [wire[:place], wire[place:]])
        assert (seen, type(error).__name__) == (events, kind)
        assert {field: getattr(error, field) for field in expected} == expected


@pytest.mark.parametrize("path", WHOLE, ids=name_of)
def test_a_stream_cut_before_its_end_is_never_a_success(path: Path) -> None:
    name = name_of(path)
    wire = (GOLDEN / f"{name}.stream").read_bytes()
    last = wire.rindex(b'"status": "finished"', 0, len(wire))
    first = wire.index(b'"status": "finished"') if name == "t2i_two_images" else last
    for place in range(first):
        events, error = read(name, [wire[:place]])
        assert isinstance(error, GatewayError)
        assert not any(isinstance(event, Finish) for event in events)


def test_only_the_answers_own_phases_end_it() -> None:
    reader = make_reader("t2t")
    for phase in ("think", "thinking_summary", "web_search", "image_gen_tool"):
        list(reader.read(frame(content="", phase=phase, status="finished")))
        assert not reader.finished
    list(reader.read(frame(content="", phase="answer", status="finished")))
    assert reader.finished


def test_a_finish_reason_of_the_wire_is_kept() -> None:
    reader = make_reader("t2t")
    list(reader.read(frame(content="Hi")))
    list(reader.read(b'{"choices":[{"delta":{},"finish_reason":"length"}]}'))
    assert reader.close() == [Finish("length")]


def test_a_response_id_of_a_delta_serves_where_the_created_frame_is_missing() -> None:
    reader = make_reader("t2t")
    events = list(reader.read(b'{"choices":[{"delta":{"content":"a"}}],"response_id":"r-1"}'))
    assert events[0] == Thread("chat-1", "r-1")
    assert len(list(reader.read(b'{"choices":[{"delta":{"content":"b"}}],"response_id":"r-1"}'))) == 1


def test_odd_extras_and_usage_cost_themselves_only() -> None:
    reader = make_reader("t2t")
    data = b'{"choices":[{"delta":{"content":"a","extra":[1]}}],"usage":"many","error":null}'
    assert [event.text for event in reader.read(data)] == ["a"]
    list(reader.read(frame(content="", status="finished")))
    assert reader.close() == [Finish()]


def test_a_null_usage_does_not_undo_an_earlier_one() -> None:
    reader = make_reader("t2t")
    list(reader.read(b'{"choices":[{"delta":{"content":"a"}}],"usage":{"output_tokens":3}}'))
    list(reader.read(b'{"choices":[{"delta":{"status":"finished"}}],"usage":null}'))
    assert reader.close()[0].output_tokens == 3


def test_pictures_found_elsewhere_end_the_answer() -> None:
    reader = make_reader("t2i")
    list(reader.read(b'{"response.created":{"response_id":"r-1"}}'))
    with pytest.raises(EmptyAnswer):
        reader.close()
    events = reader.recover(["https://cdn.example.test/a.png"])
    assert [type(event) for event in events] == [Media, Finish]


def test_a_picture_without_its_end_is_cut() -> None:
    reader = make_reader("t2i")
    list(reader.read(frame(content="https://cdn.example.test/a.png", phase="image_gen")))
    with pytest.raises(AnswerCut):
        reader.close()


WORD = frame(content="Hi")
PICTURE = frame(content="https://cdn.example.test/a.png", phase="image_gen")
ANSWERED = frame(content="", status="finished")
DRAWN = frame(content="", phase="image_gen", status="finished")
TORN = [
    WORD[:-20],
    WORD[20:],
    b"\xff" + WORD,
    WORD.replace(b'"Hi"', b"17"),
    b'{"choices":{}}',
    b"<p>",
    b"ping\n" + WORD[:-1],
]
NOISE = [
    b"",
    b"  ",
    b"[DONE]",
    b"ping",
    b"keep-alive 12",
    b"null",
    b"[]",
    b'"x"',
    b'{"response_id":5}',
    b"1\n2",
]


def answer(name: str, *frames: bytes) -> GatewayError | None:
    """Return what is wrong with an answer of these frames."""
    return read(
        name, [b"".join(b"data: " + line + b"\n" for line in one.split(b"\n")) + b"\n" for one in frames]
    )[1]


@pytest.mark.parametrize("torn", TORN)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_text_that_may_lack_a_piece_is_no_whole_one(torn: bytes, at: int) -> None:
    frames = [WORD, WORD, ANSWERED]
    frames.insert(at, torn)
    error = answer("t2t", *frames)
    assert type(error) is InvalidAnswer
    assert error.sent


@pytest.mark.parametrize("noise", NOISE)
def test_what_holds_no_text_may_come_anywhere(noise: bytes) -> None:
    assert answer("t2t", noise, WORD, noise, ANSWERED, noise) is None


@pytest.mark.parametrize("torn", TORN)
def test_nothing_behind_its_end_spoils_a_text(torn: bytes) -> None:
    assert answer("t2t", WORD, ANSWERED, torn) is None


@pytest.mark.parametrize("torn", TORN)
def test_a_picture_that_is_there_is_whole_whatever_came_beside_it(torn: bytes) -> None:
    assert answer("t2i", torn, PICTURE, torn, DRAWN) is None


def test_a_lost_picture_is_no_refusal() -> None:
    assert type(answer("t2i", WORD, TORN[0], DRAWN)) is InvalidAnswer


def test_a_text_with_a_picture_in_it_may_lack_a_piece_too() -> None:
    assert type(answer("t2t", WORD, PICTURE, TORN[0], ANSWERED)) is InvalidAnswer


def test_blanks_alone_are_no_answer() -> None:
    reader = make_reader("t2t")
    list(reader.read(frame(content=" \n", status="finished")))
    with pytest.raises(EmptyAnswer):
        reader.close()


_WORDS = ["choices", "delta", "content", "phase", "status", "extra", "usage", "error", "code", "data"]
_WORDS += ["success", "ret", "num", "details", "response.created", "response_id", "image_list", "think"]
_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.text(max_size=5)
    | st.floats()
    | st.sampled_from(_WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_WORDS), inner, max_size=4),
    max_leaves=12,
)
_phases = st.sampled_from(["answer", "think", "thinking_summary", "image_gen", "image_gen_tool", "odd", None])
_deltas = st.fixed_dictionaries(
    {"phase": _phases},
    optional={"content": _json, "status": st.sampled_from(["typing", "finished"]), "extra": _json},
)
_nearly = st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": _deltas}), max_size=2)},
    optional={"usage": _json, "error": _json, "response_id": _json},
)


@pytest.mark.parametrize("name", ["t2t", "t2i", "tools"])
@given(frames=st.lists(_json | _nearly, max_size=4))
def test_any_json_gives_events_or_one_of_our_errors(name: str, frames: list[Any]) -> None:
    reader = make_reader(name)
    try:
        events = [event for frame in frames for event in reader.read(json.dumps(frame).encode())]
        events += reader.close()
    except GatewayError:
        return
    check_grammar(events)


@given(st.binary(max_size=60))
def test_bytes_that_are_no_json_are_one_of_our_errors(data: bytes) -> None:
    reader = make_reader("t2t")
    list(reader.read(b"<" + data))
    with pytest.raises(GatewayError):
        reader.close()
