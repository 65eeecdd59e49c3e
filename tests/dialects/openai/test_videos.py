import json
from typing import Any

import msgspec
import pytest
from openai.types import Video

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import Continuation, MediaPart
from gateway.generation.views import TaskView
from tests.dialects.cases import REPLY, VIDEOS, call

MAKE = "/v1/videos"
TASK = TaskView(
    id="v1", status="pending", chat_type="t2v", model="m", created=1.5, updated=2.5, prompt="waves"
)


def decode(**fields: Any) -> Any:
    return VIDEOS.decode(call(VIDEOS, MAKE, {"prompt": "waves", **fields}))


def refusal(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    return caught.value


def shown(**changes: Any) -> Any:
    return json.loads(VIDEOS.encode_view(msgspec.structs.replace(TASK, **changes), REPLY))


def test_a_form_is_read_like_json():
    form = {"prompt": "waves", "model": "sora-2", "seconds": "4", "size": "1280x720"}
    request = VIDEOS.decode(call(VIDEOS, MAKE, form=form))
    assert request == decode(model="sora-2", seconds=4, size="16:9")
    assert request.delivery.background


def test_a_picture_to_start_from_may_be_a_file_an_address_or_an_upload():
    file = VIDEOS.decode(call(VIDEOS, MAKE, form={"prompt": "p"}, files={"input_reference": b"x"}))
    address = VIDEOS.decode(
        call(VIDEOS, MAKE, form={"prompt": "p", "input_reference[image_url]": "https://x.test/a.png"})
    )
    upload = decode(input_reference={"file_id": "file-1"})
    parts = [request.messages[0].content[1] for request in (file, address, upload)]
    assert [(part.url, part.file_id) for part in parts if isinstance(part, MediaPart)] == [
        ("data:image/png;base64,eA==", ""),
        ("https://x.test/a.png", ""),
        ("", "file-1"),
    ]


@pytest.mark.parametrize("seconds", ["", "x", "0", "-1", "nan", "inf", "1e9", 601, 0])
def test_a_length_that_no_film_has_is_refused(seconds: Any):
    assert refusal(seconds=seconds).param == "seconds"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"size": "wide"}, "size"),
        ({"input_reference": {}}, "input_reference"),
        ({"input_reference": 5}, "input_reference"),
        ({"seconds": []}, "seconds"),
    ],
)
def test_the_field_at_fault_is_named(fields: dict[str, Any], param: str):
    assert refusal(**fields).param == param


def test_a_remix_goes_on_from_the_video_s_task():
    request = VIDEOS.decode(call(VIDEOS, "/v1/videos/{id}/remix", {"prompt": "at night"}, id="task-1"))
    assert request.continuation == Continuation(parent_id="task-1")
    assert request.prompt == "at night"


@pytest.mark.parametrize("status", ["pending", "processing", "completed", "failed"])
def test_the_sdk_reads_every_state(status: str):
    body = shown(status=status, size="9:16", seconds=8.0, finished=9.0)
    video = Video.model_validate(body, strict=True)
    assert body.keys() >= Video.model_fields.keys()
    assert video.size == "720x1280"
    assert (video.completed_at is not None) == (status == "completed")
    assert (video.error is not None) == (status == "failed")


@pytest.mark.parametrize(
    ("status", "fraction", "progress"),
    [
        ("pending", 0.0, 0),
        ("processing", 0.999, 99),
        ("processing", 7.0, 99),
        ("processing", -1.0, 0),
        ("completed", 0.3, 100),
    ],
)
def test_progress_is_whole_only_at_the_end(status: str, fraction: float, progress: int):
    assert shown(status=status, progress=fraction)["progress"] == progress


def test_a_length_is_text():
    assert shown(seconds=7.5)["seconds"] == "7.5"
    assert shown(seconds=8.0)["seconds"] == "8"
