from collections.abc import AsyncGenerator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.errors import InvalidAnswer
from gateway.plugin_api.sse import EventDecoder, ServerSentEvent, read_events


def decode(*pieces: bytes, max_frame: int = 2**20) -> list[ServerSentEvent]:
    decoder = EventDecoder(max_frame)
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.close()]


def cut(wire: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(wire) + 1) for place in places), len(wire)]
    return [wire[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"", []),
        (b"\n\n\n\n", []),
        (b"data: a\n\n", [ServerSentEvent(b"a")]),
        (b"data: a\n\ndata: b\n\n", [ServerSentEvent(b"a"), ServerSentEvent(b"b")]),
        (b'data:{"a":1}\n\n', [ServerSentEvent(b'{"a":1}')]),
        (b"data:  a \n\n", [ServerSentEvent(b" a ")]),
        (b"data: a\r\rdata: b\r\r", [ServerSentEvent(b"a"), ServerSentEvent(b"b")]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [ServerSentEvent(b"a"), ServerSentEvent(b"b")]),
        (b"data: a\r\n\ndata: b\n\r\n", [ServerSentEvent(b"a"), ServerSentEvent(b"b")]),
        (b"data: a\n\n\n\n\ndata: b\n\n", [ServerSentEvent(b"a"), ServerSentEvent(b"b")]),
        (b"data: a\ndata: b\n\n", [ServerSentEvent(b"a\nb")]),
        (b"data\n\n", [ServerSentEvent(b"")]),
        (b"data:\ndata:\n\n", [ServerSentEvent(b"\n")]),
        (b"event: ping\ndata: {}\n\n", [ServerSentEvent(b"{}", "ping")]),
        (b"data: {}\nevent:ping\n\n", [ServerSentEvent(b"{}", "ping")]),
        (b"event: lost\n\ndata: a\n\n", [ServerSentEvent(b"a")]),
        (b": ping\n\n:\ndata: a\n: more\n\n", [ServerSentEvent(b"a")]),
        (b"id: 7\nretry: 10\nnonsense\ndata: a\n\n", [ServerSentEvent(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", [ServerSentEvent(b"a")]),
        ("data: a\u2028b\u0085c\x0bd\n\n".encode(), [ServerSentEvent("a\u2028b\u0085c\x0bd".encode())]),
        (b"data: a\n\ndata: last", [ServerSentEvent(b"a"), ServerSentEvent(b"last")]),
        (b"data: a\n\ndata: last\n", [ServerSentEvent(b"a"), ServerSentEvent(b"last")]),
        (b"data: a\n\ndata: last\r", [ServerSentEvent(b"a"), ServerSentEvent(b"last")]),
        (b" data: a\n\nDATA: b\n\n", []),
    ],
)
def test_every_cut_in_two_gives_the_same_events(wire: bytes, expected: list[ServerSentEvent]) -> None:
    for place in range(len(wire) + 1):
        assert decode(wire[:place], wire[place:]) == expected
    assert decode(*(wire[place : place + 1] for place in range(len(wire)))) == expected


_lines = st.sampled_from(
    [b"data: x", b"data:{}", b"data", b": ping", b"event: e", b"id: 1", b"\xe2\x80\xa8", b"", b"\xef\xbb\xbf"]
)
_ends = st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n"])


@given(st.lists(st.tuples(_lines, _ends), max_size=12), st.lists(st.integers(0, 200), max_size=12))
def test_any_cuts_give_the_same_events(lines: list[tuple[bytes, bytes]], places: list[int]) -> None:
    wire = b"".join(line + end for line, end in lines)
    whole, pieces = EventDecoder(), EventDecoder()
    expected = [*whole.feed(wire), *whole.close()]
    found = [event for piece in cut(wire, places) for event in pieces.feed(piece)]
    assert [*found, *pieces.close()] == expected


@given(st.lists(st.binary(max_size=40)), st.sampled_from([b"\n", b"\r", b"\r\n"]))
def test_what_is_written_by_the_rules_is_read_back(payloads: list[bytes], end: bytes) -> None:
    texts = [payload.replace(b"\r", b" ").replace(b"\n", b" ") for payload in payloads]
    wire = b"".join(b"data: " + text + end + end for text in texts)
    assert [event.data for event in decode(wire)] == texts


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=8))
def test_garbage_is_decoded_alike_however_it_is_cut(wire: bytes, places: list[int]) -> None:
    assert decode(*cut(wire, places)) == decode(wire)


def test_comments_are_no_events() -> None:
    assert decode(b": a\n: b\n\n:\n\ndata: x\n\n") == [ServerSentEvent(b"x")]


def test_a_frame_is_given_out_as_soon_as_its_blank_line_is_there() -> None:
    decoder = EventDecoder()
    assert decoder.feed(b"data: a\r") == []
    assert decoder.feed(b"\n\r") == [ServerSentEvent(b"a")]
    assert decoder.feed(b"\n") == []


@pytest.mark.parametrize("size", [20, 21, 22, 200])
def test_the_cap_does_not_depend_on_the_cuts(size: int) -> None:
    wire = b"data: " + b"x" * (size - 6) + b"\n\n"
    for place in range(len(wire) + 1):
        if size <= 20:
            assert decode(wire[:place], wire[place:], max_frame=20) == [ServerSentEvent(b"x" * 14)]
        else:
            with pytest.raises(InvalidAnswer, match="20 bytes"):
                decode(wire[:place], wire[place:], max_frame=20)


def test_a_frame_that_never_ends_meets_the_cap_while_it_grows() -> None:
    decoder = EventDecoder(max_frame=100)
    for _ in range(14):
        assert decoder.feed(b": ping\n") == []
    with pytest.raises(InvalidAnswer):
        decoder.feed(b": a longer ping\n")


def test_many_small_frames_are_not_one_large_one() -> None:
    wire = b"data: 0123456789\n\n" * 100
    assert len(decode(wire, max_frame=20)) == 100
    assert len(decode(*(wire[at : at + 7] for at in range(0, len(wire), 7)), max_frame=20)) == 100


def test_a_last_line_end_does_not_count_towards_the_cap() -> None:
    assert decode(b"data: " + b"x" * 14 + b"\n", max_frame=20) == [ServerSentEvent(b"x" * 14)]
    with pytest.raises(InvalidAnswer):
        decode(b"data: " + b"x" * 15, max_frame=20)


@pytest.mark.anyio
async def test_read_events_gives_one_batch_per_read_and_the_last_frame() -> None:
    async def reads() -> AsyncGenerator[bytes, None]:
        for read in (b"data: a\n\ndata: b\n\nda", b"ta: c", b"\n\n", b"data: d"):
            yield read

    batches = [[event.data for event in batch] async for batch in read_events(reads())]
    assert batches == [[b"a", b"b"], [b"c"], [b"d"]]
