"""base64 of a stream, whatever the sizes of its pieces."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.media.blob import base64_chunks

pytestmark = pytest.mark.anyio


@given(st.lists(st.binary(max_size=20)))
async def test_any_split_gives_the_same_text(pieces):
    async def source():
        for piece in pieces:
            yield piece

    text = b"".join([chunk async for chunk in base64_chunks(source())])
    assert text == base64.b64encode(b"".join(pieces))
