"""Pieces joined are the text."""

from hypothesis import given
from hypothesis import strategies as st

from gateway_sandbox.speech import count_tokens, pieces


@given(st.text())
def test_pieces_lose_nothing(text):
    assert "".join(pieces(text)) == text


def test_pieces_are_small():
    assert max(map(len, pieces("extraordinarily long words " * 10))) <= 7


def test_tokens_are_counted_by_bytes():
    assert [count_tokens(text) for text in ("", "a", "abcd", "abcde", "你好")] == [0, 1, 1, 2, 2]
