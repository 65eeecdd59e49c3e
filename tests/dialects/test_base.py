"""What holds for every dialect."""

import json
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from gateway.dialects.base import Call, Dialect, FormPart, Purpose, Route
from gateway.generation.errors import AnswerCut, RequestError
from gateway.generation.events import AnyEvent
from tests.dialects.cases import CHAT, DIALECTS, FILES, IMAGES, MODELS, NATIVE, REPLY, REQUEST, frames
from tests.dialects.events import streams

ROUTES = [(dialect, route) for dialect in DIALECTS for route in dialect.routes]
READING = [
    (dialect, route) for dialect, route in ROUTES if route.purpose in {Purpose.GENERATE, Purpose.CHAT_CREATE}
]
NAMES = sorted({name for _, route in READING for name in route.body.__struct_encode_fields__})

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
bodies = st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), values, max_size=6)
parts = st.lists(
    st.builds(
        FormPart,
        st.sampled_from([*NAMES, "image", "image[]", "input_reference[file_id]", "["]) | st.text(max_size=5),
        st.binary(max_size=8),
        st.none() | st.text(max_size=5),
    ),
    max_size=6,
).map(tuple)


@pytest.mark.parametrize(("dialect", "route"), READING)
@given(body=st.binary(max_size=40) | bodies.map(msgspec.json.encode), parts=parts)
def test_any_bytes_are_a_request_or_a_request_error(
    dialect: Dialect, route: Route, body: bytes, parts: tuple[FormPart, ...]
):
    call = Call(route=route, path={"id": "x"}, body=body, parts=parts if route.forms else ())
    with suppress(RequestError):
        assert dialect.decode(call).chat_type


@pytest.mark.parametrize("dialect", DIALECTS)
def test_addresses_are_their_own(dialect: Dialect):
    addresses = [(route.method, route.path) for other in DIALECTS for route in other.routes]
    for route in dialect.routes:
        assert addresses.count((route.method, route.path)) == 1
        assert route.summary


@pytest.mark.parametrize("kind", [kind for _, route in ROUTES for kind in (route.body, route.answer) if kind])
def test_bodies_can_be_documented(kind: Any):
    _, components = msgspec.json.schema_components([kind])
    assert all(schema.get("description") for schema in components.values())


@pytest.mark.parametrize("dialect", [NATIVE, CHAT, IMAGES])
@given(events=streams(), error=st.booleans())
def test_the_sdk_s_decoder_sees_every_frame(dialect: Dialect, events: list[AnyEvent], error: bool):
    encoder = dialect.encoder(REQUEST, REPLY)
    raw = b"".join(map(encoder.encode, events[:-1] if error else events))
    raw += encoder.encode_error(AnswerCut("Cut.")) if error else b""
    seen = [(sse.event or "", sse.data) for sse in SSEDecoder().iter_bytes(iter([raw]))]
    assert [(name, data if data == "[DONE]" else json.loads(data)) for name, data in seen] == frames(raw)


@pytest.mark.parametrize("dialect", [FILES, MODELS])
def test_what_generates_nothing_says_so(dialect: Dialect):
    with pytest.raises(RequestError):
        dialect.decode(Call(route=dialect.routes[0]))
    with pytest.raises(RequestError):
        dialect.encoder(REQUEST, REPLY)
