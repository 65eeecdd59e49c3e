"""The Range header, whatever it holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.blob import ByteRange
from gateway.web.ranges import read_range


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=5-", ByteRange(5)),
        ("bytes=-5", ByteRange(-5)),
        ("bytes = 1 - 2", ByteRange(1, 3)),
        ("bytes=2-1", None),
        ("bytes=-", None),
        ("bytes=0-1,3-4", None),
        ("bytes=\u0661-", None),
        ("bytes=" + "9" * 16 + "-", None),
        ("", None),
    ],
)
def test_one_range_is_read_and_anything_else_is_the_whole_file(header, expected):
    assert read_range(header.encode()) == expected


@given(st.binary())
def test_nothing_breaks_it(header):
    read_range(header)
    read_range(b"bytes=" + header)
