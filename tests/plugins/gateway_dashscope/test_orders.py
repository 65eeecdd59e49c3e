"""Orders: every model's route, form and size; and what is refused before it costs a queue."""

import json
import re
from typing import Any

import pytest
from msgspec.structs import replace

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest, MediaPart, Message, Sampling, TextPart, Tool
from gateway_dashscope.catalogue import IMAGE_MODELS, VIDEO_MODELS, VIDEO_SIZES
from gateway_dashscope.orders import Order, image_task, picture_now, unsent, video_task

CAT = (Message("user", (TextPart("a cat"),)),)
PICTURE = MediaPart("image", "https://x.test/a.png")
CAT_AND_PICTURES = (Message("user", (TextPart("a cat"), PICTURE, PICTURE)),)
SERVICES = "/api/v1/services/aigc/"
RATIOS = ("1:1", "16:9", "9:16", "4:3", "3:4")


def image(model: str, **fields: Any) -> GenerationRequest:
    return GenerationRequest(chat_type="t2i", model=model, messages=fields.pop("messages", CAT), **fields)


def film(model: str, **fields: Any) -> GenerationRequest:
    return GenerationRequest(chat_type="t2v", model=model, messages=fields.pop("messages", CAT), **fields)


def body(order: Order) -> Any:
    return json.loads(order.body)


def queued(request: GenerationRequest) -> Order:
    return image_task(request, IMAGE_MODELS[request.model])


def filmed(request: GenerationRequest) -> Order:
    return video_task(request, VIDEO_MODELS[request.model], VIDEO_SIZES)


def test_a_picture_of_the_older_route() -> None:
    order = queued(image("wan2.2-t2i-flash", size="16:9", negative_prompt="dogs", sampling=Sampling(seed=7)))
    assert order.path == SERVICES + "text2image/image-synthesis"
    assert body(order) == {
        "model": "wan2.2-t2i-flash",
        "input": {"prompt": "a cat", "negative_prompt": "dogs"},
        "parameters": {"size": "1280*720", "n": 1, "seed": 7},
    }


def test_a_picture_that_comes_at_once() -> None:
    request = image("qwen-image-plus", size="4:3", negative_prompt="dogs")
    order = picture_now(request, IMAGE_MODELS[request.model])
    assert order.path == SERVICES + "multimodal-generation/generation"
    assert body(order) == {
        "model": "qwen-image-plus",
        "input": {"messages": [{"role": "user", "content": [{"text": "a cat"}]}]},
        "parameters": {"size": "1472*1104", "n": 1, "negative_prompt": "dogs"},
    }


def test_the_newer_queue_takes_messages() -> None:
    order = queued(image("wan2.6-t2i", size="9:16", count=4))
    assert order.path == SERVICES + "image-generation/generation"
    assert body(order)["input"] == {"messages": [{"role": "user", "content": [{"text": "a cat"}]}]}
    assert body(order)["parameters"] == {"size": "960*1696", "n": 4}


def test_pictures_are_edited_where_the_model_edits() -> None:
    request = image("wan2.5-i2i-preview", messages=CAT_AND_PICTURES)
    assert queued(request).path == SERVICES + "image2image/image-synthesis"
    assert body(queued(request))["input"] == {"prompt": "a cat", "images": [PICTURE.url] * 2}
    edit = image("qwen-image-edit", messages=CAT_AND_PICTURES, size="1:1")
    content = body(picture_now(edit, IMAGE_MODELS["qwen-image-edit"]))["input"]["messages"][0]["content"]
    assert content == [{"image": PICTURE.url}, {"image": PICTURE.url}, {"text": "a cat"}]
    for model in ("qwen-image-edit", "wan2.6-image"):
        with pytest.raises(InvalidRequest) as caught:
            picture_now(image(model), IMAGE_MODELS[model])
        assert caught.value.param == "messages"
    woven = picture_now(
        image("wan2.6-image", extra={"enable_interleave": True}), IMAGE_MODELS["wan2.6-image"]
    )
    assert body(woven)["parameters"] == {"n": 1, "enable_interleave": True}


@pytest.mark.parametrize("model", IMAGE_MODELS)
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_picture_has_a_count_and_a_size_in_the_providers_form(model: str, ratio: str) -> None:
    request = image(model, size=ratio, messages=CAT_AND_PICTURES)
    shape = IMAGE_MODELS[model]
    orders = [picture_now(request, shape)] * shape.sync + ([image_task(request, shape)] if shape.task else [])
    assert orders
    for order in orders:
        parameters = body(order)["parameters"]
        assert parameters["n"] == 1
        if shape.sizes:
            width, height = map(int, re.fullmatch(r"(\d+)\*(\d+)", parameters["size"]).groups())
            across, down = map(int, ratio.split(":"))
            assert abs(width / height - across / down) < 0.03 * across / down + 0.02


def test_more_pictures_than_a_call_makes() -> None:
    assert body(picture_now(image("qwen-image", count=5), IMAGE_MODELS["qwen-image"]))["parameters"]["n"] == 1
    assert (
        body(picture_now(image("qwen-image-2.0", count=9), IMAGE_MODELS["qwen-image-2.0"]))["parameters"]["n"]
        == 6
    )
    with pytest.raises(InvalidRequest) as caught:
        queued(image("wan2.2-t2i-flash", count=5))
    assert caught.value.param == "n"


def test_a_film_in_pixels() -> None:
    order = filmed(film("wan2.5-t2v-preview", size="9:16", seconds=10.0, negative_prompt="rain"))
    assert order.path == SERVICES + "video-generation/video-synthesis"
    assert body(order) == {
        "model": "wan2.5-t2v-preview",
        "input": {"prompt": "a cat", "negative_prompt": "rain"},
        "parameters": {"size": "1080*1920", "duration": 10},
    }


def test_a_film_by_tier_and_ratio_or_by_tier_alone() -> None:
    assert body(filmed(film("wan2.7-t2v", size="4:3")))["parameters"] == {
        "resolution": "1080P",
        "ratio": "4:3",
        "duration": 5,
    }
    moved = filmed(film("wan2.6-i2v", messages=CAT_AND_PICTURES, extra={"resolution": "720p"}))
    assert body(moved)["input"] == {"prompt": "a cat", "img_url": PICTURE.url}
    assert body(moved)["parameters"] == {"resolution": "720P", "duration": 5}


def test_a_film_between_two_frames() -> None:
    order = filmed(film("wanx2.1-kf2v-plus", messages=CAT_AND_PICTURES))
    assert order.path == SERVICES + "image2video/video-synthesis"
    assert body(order)["input"] == {
        "prompt": "a cat",
        "first_frame_url": PICTURE.url,
        "last_frame_url": PICTURE.url,
    }


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (film("wan2.2-t2v-plus", seconds=10), "seconds"),
        (film("wan2.6-t2v", seconds=5.5), "seconds"),
        (film("wan2.2-t2v-plus", extra={"resolution": "720P"}), "resolution"),
        (film("wan2.5-t2v-preview", size="4:3", extra={"resolution": "480P"}), "size"),
        (film("wan2.6-i2v"), "messages"),
        (film("wanx2.1-kf2v-plus", messages=(Message("user", (PICTURE,)),)), "messages"),
    ],
)
def test_what_would_fail_in_the_queue_is_refused_at_once(request_: GenerationRequest, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        filmed(request_)
    assert caught.value.param == param


def test_the_callers_own_fields_go_where_the_wire_has_them() -> None:
    extra = {"prompt_extend": False, "audio_url": "https://x.test/a.mp3", "model": "other", "n": 9}
    order = body(filmed(film("wan2.5-t2v-preview", extra=extra)))
    assert order["model"] == "wan2.5-t2v-preview"
    assert order["input"] == {"prompt": "a cat", "audio_url": "https://x.test/a.mp3"}
    assert order["parameters"] == {"duration": 5, "prompt_extend": False}


def test_what_has_no_place_is_named() -> None:
    plain = image("qwen-image", size="1:1", sampling=Sampling(seed=1), extra={"watermark": True})
    assert unsent(plain, IMAGE_MODELS["qwen-image"]) == []
    odd = replace(plain, seconds=5, tools=(Tool("f"),), sampling=Sampling(top_p=1.0), extra={"x": 1})
    assert unsent(odd, IMAGE_MODELS["qwen-image"]) == ["tools", "seconds", "extra", "sampling.top_p"]
    assert unsent(plain, IMAGE_MODELS["qwen-image-edit"]) == ["size"]
    assert unsent(film("wan2.6-i2v", size="1:1", seconds=5), VIDEO_MODELS["wan2.6-i2v"]) == ["size"]
