from typing import Any

import pytest

from gateway.dialects.parts import media_part, read_content
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import MediaPart, OtherPart, TextPart


def test_content_may_be_nothing_a_text_or_texts():
    assert read_content(None, "c") == ()
    assert read_content("a", "c") == (TextPart("a"),)
    assert read_content(["a", {"text": "b"}, {"type": "input_text", "text": "c"}], "c") == tuple(
        map(TextPart, "abc")
    )


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("https://x.test/a", MediaPart("image", url="https://x.test/a")),
        ("/media/a.png", MediaPart("image", url="/media/a.png")),
        ("file-1", MediaPart("image", file_id="file-1")),
        ({"file_id": "file-1"}, MediaPart("image", file_id="file-1")),
        ({"data": "AAAA"}, MediaPart("image", url="data:application/octet-stream;base64,AAAA")),
        ({"data": "AAAA", "format": "mp3"}, MediaPart("image", url="data:audio/mp3;base64,AAAA")),
        ({"url": "data:a", "data": "AAAA"}, MediaPart("image", url="data:a")),
    ],
)
def test_a_medium_is_an_address_a_file_or_its_bytes(value: Any, part: MediaPart):
    assert media_part("image", value, "p") == part


def test_newer_parts_have_their_fields_beside_the_type():
    content = [{"type": "input_image", "file_id": "file-1", "detail": "low"}]
    assert read_content(content, "c") == (MediaPart("image", file_id="file-1", detail="low"),)


def test_an_unknown_part_is_kept_as_it_is():
    assert read_content([{"type": "smell", "of": [1]}], "c") == (OtherPart({"type": "smell", "of": [1]}),)


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({}, "c[1].type"),
        ({"type": None}, "c[1].type"),
        ({"type": "refusal"}, "c[1].refusal"),
        ({"type": "image", "image": []}, "c[1].image"),
        ({"type": "image", "image": {"url": 5}}, "c[1].image.url"),
        ({"type": "file", "file": {}}, "c[1].file"),
        ({"type": "image", "image": ""}, "c[1].image"),
    ],
)
def test_the_place_at_fault_is_named(part: dict[str, Any], param: str):
    with pytest.raises(InvalidRequest) as caught:
        read_content(["a", part], "c")
    assert caught.value.param == param
