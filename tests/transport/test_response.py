"""The parser's side of a response: whatever way its bytes are cut, it says the same."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.transport.errors import ConnectionLost, TransportError
from gateway.transport.limits import Caps
from gateway.transport.response import Response

BODY = bytes(range(256)) * 3
ANSWERS = {
    "length": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 768\r\n\r\n" + BODY,
    "chunked": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n100;a=b\r\n"
    + BODY[:256]
    + b"\r\n200\r\n"
    + BODY[256:]
    + b"\r\n0\r\nX-Trailer: 2\r\n\r\n",
    "to the end": b"HTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n" + BODY,
    "after an early answer": b"HTTP/1.1 103 Hints\r\nX-B: 0\r\n\r\nHTTP/1.1 200 OK\r\nX-A: 1\r\n\r\n" + BODY,
}


@pytest.fixture(scope="module")
def loop():
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def read(loop, pieces):
    """Feed the pieces, then the end of the connection; take after each."""
    response = Response(loop, Caps(), bodiless=False, coded_allowed=False)
    body = b""
    for piece in pieces:
        if not response.complete:
            response.feed(piece)
            body += response.take()
    response.feed_eof(None)
    return response, body + response.take()


def cut(raw, places):
    edges = sorted({0, len(raw), *(place % len(raw) for place in places)})
    return [raw[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=ANSWERS.keys())
@settings(deadline=None)
@given(places=st.lists(st.integers(0, 10_000), max_size=40))
def test_any_cut_gives_the_same_answer(loop, raw, places):
    response, body = read(loop, cut(raw, places))
    assert body == BODY
    assert response.status == 200
    assert response.headers[0] == (b"x-a", b"1")
    assert all(name != b"x-trailer" for name, _ in response.headers)
    assert response.complete


@pytest.mark.parametrize("raw", ANSWERS.values(), ids=ANSWERS.keys())
def test_byte_by_byte_gives_the_same_answer(loop, raw):
    assert read(loop, [raw[at : at + 1] for at in range(len(raw))])[1] == BODY


@pytest.mark.parametrize("name", ["length", "chunked"])
def test_every_early_end_is_told(loop, name):
    raw = ANSWERS[name]
    for end in range(len(raw)):
        with pytest.raises(ConnectionLost):
            read(loop, [raw[:end]] if end else [])


@settings(max_examples=500, deadline=None)
@given(noise=st.binary(max_size=200), start=st.sampled_from([b"", *(raw[:60] for raw in ANSWERS.values())]))
def test_garbage_is_an_error_of_ours_or_an_answer(loop, noise, start):
    try:
        response, _ = read(loop, [start + noise])
    except TransportError:
        return
    assert response.complete


def test_a_reset_is_never_the_end_of_a_body(loop):
    response = Response(loop, Caps(), bodiless=False, coded_allowed=False)
    response.feed(b"HTTP/1.1 200 OK\r\n\r\nhello")
    response.feed_eof(ConnectionResetError())
    assert response.take() == b"hello"
    with pytest.raises(ConnectionLost) as caught:
        response.take()
    assert isinstance(caught.value.__cause__, ConnectionResetError)


def test_keep_alive_is_known_only_at_the_end(loop):
    response = Response(loop, Caps(), bodiless=False, coded_allowed=False)
    response.feed(ANSWERS["chunked"][:-1])
    assert not response.keep_alive
    response.feed(ANSWERS["chunked"][-1:])
    assert response.keep_alive
