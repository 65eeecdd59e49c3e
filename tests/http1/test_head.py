"""Heads as bytes: nothing that an application says may end a line or a head."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http1.head import encode_head, encode_text


def test_a_head_is_its_lines() -> None:
    fields = [(b"content-type", b"a/b"), (b"content-length", b"12"), (b"connection", b"x, Close")]
    assert encode_head(404, fields) == (
        b"HTTP/1.1 404 Not Found\r\ncontent-type: a/b\r\ncontent-length: 12\r\nconnection: x, Close\r\n",
        12,
        True,
    )
    assert encode_head(299, []) == (b"HTTP/1.1 299 \r\n", None, False)


@given(
    before=st.binary(max_size=5),
    evil=st.sampled_from([b"\r", b"\n", b"\r\n", b"\0"]),
    after=st.binary(max_size=5),
)
def test_no_value_splits_a_head(before: bytes, evil: bytes, after: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_head(200, [(b"a", b"b"), (b"location", before + evil + after)])


@pytest.mark.parametrize(
    "name", [b"", b"a b", b"a:", b"a\r\n", b"a\xff", b"transfer-encoding", b"Transfer-Encoding"]
)
def test_bad_names_are_refused(name: bytes) -> None:
    with pytest.raises(ValueError):
        encode_head(200, [(name, b"chunked")])


@pytest.mark.parametrize("value", [b"", b"-1", b"+1", b"1_0", b" 1", b"1, 1", b"\xb2"])
def test_bad_lengths_are_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="content-length"):
        encode_head(200, [(b"Content-Length", value)])


def test_a_length_is_declared_once() -> None:
    with pytest.raises(ValueError, match="content-length"):
        encode_head(200, [(b"content-length", b"1"), (b"Content-Length", b"1")])


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600])
def test_only_answers_have_heads(status: int) -> None:
    with pytest.raises(ValueError, match="status"):
        encode_head(status, [])


def test_a_text_is_a_whole_answer() -> None:
    assert encode_text(400, b"no", [(b"server", b"x")]) == (
        b"HTTP/1.1 400 Bad Request\r\nserver: x\r\ncontent-type: text/plain; charset=utf-8\r\n"
        b"content-length: 2\r\nconnection: close\r\n\r\nno"
    )
