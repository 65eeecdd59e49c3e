"""OpenAI's videos: every one is a task, answered at once."""

import math
from collections.abc import Iterable
from typing import Annotated, Any, Final

import msgspec

from gateway.dialects.base import Call, MediaRef, Purpose, Route
from gateway.dialects.forms import read_form_or_json, read_pictures
from gateway.dialects.json_body import BodyReader
from gateway.dialects.openai.objects import OpenAIObjects
from gateway.dialects.openai.views import DeletedObject, ObjectList, Video, encode_view
from gateway.dialects.references import ImageReference, read_reference
from gateway.dialects.sizes import nearest_ratio
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import (
    Continuation,
    Delivery,
    GenerationRequest,
    MediaPart,
    Message,
    TextPart,
)
from gateway.generation.results import GenerationResult, Reply
from gateway.generation.views import TaskView

__all__ = ["OpenAIVideosDialect", "RemixBody", "VideoBody"]


class RemixBody(msgspec.Struct, frozen=True, kw_only=True):
    """What to change in a video."""

    prompt: Annotated[str, msgspec.Meta(min_length=1)]


class VideoBody(RemixBody, frozen=True, kw_only=True):
    """A video to make. `size` is ``WIDTHxHEIGHT`` or a ratio; the provider's nearest ratio is used.

    `input_reference` is a picture to start from: a file of the form, an address or an uploaded file.
    """

    model: str | None = None
    seconds: str | float | None = None
    size: str | None = None
    input_reference: str | ImageReference | None = None


_REMIX: Final = "/v1/videos/{id}/remix"
_REFERENCE_PARTS: Final = frozenset({"input_reference"})
_MAX_SECONDS: Final = 600.0
_DELIVERY: Final = Delivery(background=True)
_videos: Final = BodyReader(VideoBody)
_remixes: Final = BodyReader(RemixBody)


class OpenAIVideosDialect(OpenAIObjects):
    """The routes under /v1/videos."""

    name = "openai_videos"
    routes = (
        Route("POST", "/v1/videos", Purpose.GENERATE, "Make a video", VideoBody, Video, forms=True),
        Route("POST", _REMIX, Purpose.GENERATE, "Make a video from another", RemixBody, Video, forms=True),
        Route(
            "GET",
            "/v1/videos",
            Purpose.TASK_LIST,
            "List videos",
            None,
            ObjectList[Video],
            chat_type="t2v",
        ),
        Route("GET", "/v1/videos/{id}", Purpose.TASK_GET, "Look at a video", None, Video),
        Route("GET", "/v1/videos/{id}/content", Purpose.TASK_CONTENT, "Download a video", None, bytes),
        Route("DELETE", "/v1/videos/{id}", Purpose.TASK_DELETE, "Delete a video", None, DeletedObject),
    )

    def decode(self, call: Call) -> GenerationRequest:
        """Read what to make; a remix goes on from the video's task. Raises `InvalidRequest`."""
        if call.route.path == _REMIX:
            remix, extra = read_form_or_json(_remixes, call)
            return _request(remix, (), extra, continuation=Continuation(parent_id=call.path["id"]))
        body, extra = read_form_or_json(_videos, call)
        return _request(
            body,
            _read_pictures(body, call),
            extra,
            continuation=Continuation(),
            model=body.model or "",
            size=nearest_ratio(body.size),
            seconds=_read_seconds(body.seconds),
        )

    def encode_result(
        self, request: GenerationRequest, reply: Reply, result: GenerationResult
    ) -> Iterable[bytes | MediaRef]:
        """Write a video that was made without a task."""
        video = TaskView(
            id=result.task_id or reply.id,
            status="completed",
            chat_type=request.chat_type,
            model=reply.model,
            created=reply.created,
            updated=reply.created,
            finished=reply.created,
            prompt=request.prompt,
            size=request.size,
            seconds=request.seconds,
        )
        yield encode_view(video, reply)


def _request(
    body: RemixBody, pictures: tuple[MediaPart, ...], extra: dict[str, Any], **fields: Any
) -> GenerationRequest:
    return GenerationRequest(
        chat_type="t2v",
        messages=(Message("user", (TextPart(body.prompt), *pictures)),),
        delivery=_DELIVERY,
        extra=extra,
        **fields,
    )


def _read_pictures(body: VideoBody, call: Call) -> tuple[MediaPart, ...]:
    if body.input_reference:
        return (read_reference(body.input_reference, "input_reference"),)
    return read_pictures(call.parts, _REFERENCE_PARTS)


def _read_seconds(seconds: str | float | None) -> float | None:
    if seconds is None:
        return None
    try:
        length = float(seconds)
    except ValueError:
        length = math.nan
    if not 0 < length <= _MAX_SECONDS:
        raise InvalidRequest(f"seconds must be a number up to {_MAX_SECONDS:g}", param="seconds")
    return length
