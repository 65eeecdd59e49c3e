import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.dialects.json_body import MAX_DEPTH, BodyReader, read_extra, read_object
from gateway.generation.errors import InvalidRequest


class Item(msgspec.Struct):
    role: str
    marks: list[int] = []


class Body(msgspec.Struct):
    model: str
    messages: list[Item]
    n: int | None = None


reader = BodyReader(Body)


def read(body: bytes) -> Body:
    read_object(body)
    return reader.read(body)


def refusal(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(body)
    return caught.value


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_depth_is_counted_exactly():
    assert read_object(nested(MAX_DEPTH))
    assert read_object(b'{"b":[[],[]],' + nested(MAX_DEPTH)[1:])
    assert "deeper" in refusal(nested(MAX_DEPTH + 1)).message


def test_brackets_in_texts_are_not_depth():
    fields = {"a": '[{"' * 500, 'b": [{': ["{", '"[' * 100]}
    assert set(read_object(msgspec.json.encode(fields))) == set(fields)


@given(st.integers(1, 200), st.booleans())
def test_a_text_full_of_escapes_hides_no_depth(depth: int, escaped: bool):
    text = b'"' + (rb"\\" if escaped else rb"\"") * 70 + b'"'
    body = b'{"t":' + text + b',"a":' + b"[" * depth + text + b"]" * depth + b"}"
    if depth + 1 > MAX_DEPTH:
        assert "deeper" in refusal(body).message
    else:
        read_object(body)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000_000,
        b'{"a":' * 5_000_000,
        b'{"a":[' + b"[]," * 10_000_000 + b"[]]}",
        b'{"a":[' + b"1," * 16_000_000 + b"1]}",
        b'{"a":[' + b'"",' * 10_000_000 + b'""]}',
    ],
    ids=["arrays", "objects", "wide", "numbers", "texts"],
)
def test_huge_structures_are_refused_soon(body: bytes):
    begun = time.monotonic()
    assert refusal(body)
    assert time.monotonic() - begun < 1.0


def test_a_large_picture_is_no_structure():
    body = (
        b'{"model":"m","messages":[{"role":"user"}],"picture":"data:image/png;base64,'
        + b"A" * 17_000_000
        + b'"}'
    )
    begun = time.monotonic()
    assert set(read_object(body)) == {"model", "messages", "picture"}
    assert time.monotonic() - begun < 0.5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}x",
        b'{"model":"\xff"}',
        b'{"unknown":"\xff"}',
        b'{"model":"\\ud800","messages":[]}',
        b'{"unknown":"\\udc00x"}',
        b'{"n":NaN}',
        b'{"unknown":Infinity}',
        b'{"n":-Infinity}',
        b"\xef\xbb\xbf{}",
        b"\x00",
    ],
)
def test_what_is_not_json_is_refused(body: bytes):
    assert refusal(body).status == 400


def test_bad_utf_8_is_refused_even_where_nobody_reads_it():
    with pytest.raises(InvalidRequest):
        read_object(b'{"model":"m","messages":[{"role":"user","unread":"\xff"}]}')


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"model":"m"}', "messages"),
        (b'{"model":1,"messages":[]}', "model"),
        (b'{"model":"m","messages":[{}]}', "messages[0].role"),
        (b'{"model":"m","messages":[{"role":"a"},{"role":2}]}', "messages[1].role"),
        (b'{"model":"m","messages":[{"role":"a"},{"role":"b"},4,{"role":"c"}]}', "messages[2]"),
        (b'{"model":"m","messages":[],"n":1e400}', "n"),
        (b'{"model":"m","messages":[],"n":"1"}', "n"),
        (b'{"model":"m","messages":[],"n":' + b"9" * 5000 + b"}", "n"),
    ],
)
def test_the_field_at_fault_is_named(body: bytes, param: str):
    error = refusal(body)
    assert error.param == param
    assert param in error.message


@given(st.integers(0, 40), st.integers(0, 40))
def test_the_first_wrong_item_is_named(before: int, after: int):
    items: list[Any] = [{"role": "user"}] * before + [{"role": None}] + [{"role": "user"}] * after
    assert refusal(msgspec.json.encode({"model": "m", "messages": items})).param == f"messages[{before}].role"


SPACE = st.sampled_from(["", " ", "\n  ", "\t"])


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5)), SPACE, SPACE)
def test_spaces_and_escapes_are_no_duplicates(fields: dict[str, Any], before: str, after: str):
    pairs = (f"{before}{json_text(name)}{after}:{before}{json_text(value)}" for name, value in fields.items())
    body = f"{before}{{{f'{after},'.join(pairs)}{after}}}{before}".encode()
    assert set(read_object(body)) == set(fields)


@given(st.dictionaries(st.text(max_size=5), st.integers(0, 99), min_size=1), st.data(), SPACE)
def test_a_key_that_comes_twice_is_refused(fields: dict[str, int], data: st.DataObject, space: str):
    pairs = list(fields.items())
    again = data.draw(st.sampled_from(pairs))[0], data.draw(st.integers(0, 99))
    pairs.insert(data.draw(st.integers(0, len(pairs))), again)
    body = "{" + ",".join(f"{json_text(name)}:{space}{value}" for name, value in pairs) + "}"
    assert "twice" in refusal(body.encode()).message


def json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def test_unknown_fields_are_kept_and_null_is_absent():
    fields = read_object(b'{"model":"m","vendor":{"a":[1]},"other":null}')
    assert read_extra(fields, reader.fields) == {"vendor": {"a": [1]}}


def test_an_unknown_number_out_of_range_is_refused():
    with pytest.raises(InvalidRequest) as caught:
        read_extra(read_object(b'{"vendor":1e999}'), reader.fields)
    assert caught.value.param == "vendor"


def test_form_texts_stand_for_numbers():
    assert reader.convert({"model": "m", "messages": [], "n": "3"}).n == 3
    with pytest.raises(InvalidRequest) as caught:
        reader.convert({"model": "m", "messages": [], "n": "three"})
    assert caught.value.param == "n"
