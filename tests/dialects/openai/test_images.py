import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.types import ImageGenCompletedEvent, ImagesResponse

from gateway.dialects.base import MediaRef
from gateway.generation.errors import InvalidRequest, RateLimited
from gateway.generation.events import AnyEvent, Finish, Media, Usage
from gateway.generation.requests import Delivery, GenerationRequest, MediaPart
from gateway.generation.results import GenerationResult
from tests.dialects.cases import IMAGES, REPLY, REQUEST, answer, call, frames
from tests.dialects.events import streams

MAKE = "/v1/images/generations"
EDIT = "/v1/images/edits"
INLINE = msgspec.structs.replace(REQUEST, delivery=Delivery(stream=True, inline_media=True))
PICTURE = Media("image", data=b"\x89PNG", width=1024, height=1024)


def refusal(path: str, body: Any = None, **parts: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        IMAGES.decode(call(IMAGES, path, body, **parts))
    return caught.value


def run(request: GenerationRequest, events: list[AnyEvent]) -> list[tuple[str, Any]]:
    encoder = IMAGES.encoder(request, REPLY)
    return frames(b"".join(map(encoder.encode, events)))


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "big"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"response_format": "png"}, "response_format"),
    ],
)
def test_the_field_at_fault_is_named(fields: dict[str, Any], param: str):
    assert refusal(MAKE, {"prompt": "a cat"} | fields).param == param


def test_an_edit_form_is_read_like_json():
    form = {"prompt": "more", "n": "2", "size": "1024x1536", "response_format": "b64_json", "quality": "high"}
    files = {"image[]": b"\x89PNG", "mask": b"\x89MASK"}
    request = IMAGES.decode(call(IMAGES, EDIT, form=form, files=files))
    assert (request.count, request.size, request.delivery.inline_media) == (2, "3:4", True)
    assert request.extra == {"quality": "high"}
    _, image, mask = request.messages[0].content
    assert image == MediaPart(
        "image", url="data:image/png;base64,iVBORw==", name="a b.png", media_type="image/png"
    )
    assert isinstance(mask, MediaPart)
    assert mask.detail == "mask"


def test_an_edit_needs_an_image():
    assert refusal(EDIT, form={"prompt": "more"}).param == "image"
    assert refusal(EDIT, {"prompt": "more", "images": [{}]}).param == "images[0]"


def test_a_form_s_number_is_checked():
    assert refusal(EDIT, form={"prompt": "more", "n": "two"}, files={"image": b"x"}).param == "n"


def test_the_sdk_reads_an_answer():
    result = GenerationResult(media=(PICTURE,), usage=Usage(3, 4))
    body = answer(IMAGES, INLINE, result)
    assert body["data"] == [{"b64_json": "b64:"}]
    assert ImagesResponse.model_validate(body, strict=True).usage


def test_bytes_are_left_to_whoever_can_fetch_them():
    media = Media("image", "/media/a.png")
    pieces = list(IMAGES.encode_result(INLINE, REPLY, GenerationResult(media=(media,))))
    index = pieces.index(MediaRef(media))
    before, after = pieces[index - 1], pieces[index + 1]
    assert isinstance(before, bytes)
    assert isinstance(after, bytes)
    assert before.endswith(b'"b64_json":"')
    assert after.startswith(b'"')


def test_a_stream_is_one_event_for_each_picture():
    (name, data), _ = run(INLINE, [PICTURE, PICTURE, Usage(1, 2), Finish()])
    assert name == data["type"] == "image_generation.completed"
    assert base64.b64decode(data["b64_json"]) == PICTURE.data
    assert ImageGenCompletedEvent.model_validate(data, strict=True).usage.total_tokens == 3


def test_a_stream_of_addresses_carries_no_base64():
    by_address = msgspec.structs.replace(INLINE, delivery=Delivery(stream=True))
    ((_, data),) = run(by_address, [Media("image", "/media/a.png"), Finish()])
    assert data["url"] == "http://gw.test:3264/media/a.png"
    assert "b64_json" not in data


def test_an_address_wins_over_bytes_when_it_was_asked_for():
    by_address = msgspec.structs.replace(INLINE, delivery=Delivery(stream=True))
    ((_, data),) = run(by_address, [Media("image", "https://cdn.test/a", data=b"x"), Finish()])
    assert data["url"] == "https://cdn.test/a"


def test_an_edit_s_events_have_their_own_name():
    request = IMAGES.decode(call(IMAGES, EDIT, {"prompt": "more", "images": ["file-1"], "stream": True}))
    assert request.delivery.inline_media
    assert [name for name, _ in run(request, [PICTURE, Finish()])] == ["image_edit.completed"]


@given(streams())
def test_every_order_of_events_ends_once(events: list[AnyEvent]):
    pictures = [event for event in events if isinstance(event, Media)]
    found = run(INLINE, [*events, PICTURE, Finish()])
    assert [name for name, _ in found] == ["image_generation.completed"] * len(pictures)


def test_a_broken_stream_ends_with_one_error():
    encoder = IMAGES.encoder(INLINE, REPLY)
    body = encoder.encode(PICTURE) + encoder.encode_error(RateLimited("Later.")) + encoder.encode(Finish())
    ((name, data),) = frames(body)
    assert name == data["type"] == "error"
    assert (data["error"]["message"], data["error"]["code"]) == ("Later.", "rate_limit_exceeded")
