"""OpenAI's images: made from words, or from words and other images."""

from collections.abc import Iterable
from typing import Annotated, Any, Final, Literal

import msgspec

from gateway.dialects.base import Call, FrameEncoder, MediaRef, Purpose, Route
from gateway.dialects.forms import read_form_or_json, read_pictures
from gateway.dialects.json_body import BodyReader
from gateway.dialects.openai.image_answers import ImageEventEncoder, ImagesAnswer, write_images
from gateway.dialects.openai.objects import OpenAIObjects
from gateway.dialects.references import ImageReference, read_reference
from gateway.dialects.sizes import nearest_ratio
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import (
    Delivery,
    GenerationRequest,
    MediaPart,
    Message,
    Sampling,
    TextPart,
)
from gateway.generation.results import GenerationResult, Reply

__all__ = ["ImageEditBody", "ImageGenerationBody", "OpenAIImagesDialect"]


class ImageGenerationBody(msgspec.Struct, frozen=True, kw_only=True):
    """Pictures to make. `size` is ``WIDTHxHEIGHT`` or a ratio; the provider's nearest ratio is used.

    Fields that are not listed (quality, style, background, output_format and so on) are accepted and go to
    providers that speak the same API.
    """

    prompt: Annotated[str, msgspec.Meta(min_length=1)]
    model: str | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    size: str | None = None
    response_format: Literal["url", "b64_json"] | None = None
    stream: bool | None = None
    negative_prompt: str | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None


class ImageEditBody(ImageGenerationBody, frozen=True, kw_only=True):
    """Pictures to make from others: parts ``image`` or ``image[]`` of a form, or `images` in JSON."""

    images: list[str | ImageReference] | None = None
    mask: str | ImageReference | None = None


_EDITS: Final = "/v1/images/edits"
_IMAGE_PARTS: Final = frozenset({"image", "image[]"})
_MASK_PARTS: Final = frozenset({"mask"})
_generations: Final = BodyReader(ImageGenerationBody)
_edits: Final = BodyReader(ImageEditBody)


class OpenAIImagesDialect(OpenAIObjects):
    """POST /v1/images/generations and /v1/images/edits."""

    name = "openai_images"
    routes = (
        Route(
            "POST",
            "/v1/images/generations",
            Purpose.GENERATE,
            "Make pictures",
            ImageGenerationBody,
            ImagesAnswer,
        ),
        Route(
            "POST",
            _EDITS,
            Purpose.GENERATE,
            "Make pictures from others",
            ImageEditBody,
            ImagesAnswer,
            forms=True,
        ),
    )

    def decode(self, call: Call) -> GenerationRequest:
        """Read what to make; raises `InvalidRequest`."""
        if call.route.path != _EDITS:
            body, extra = read_form_or_json(_generations, call)
            return _request(body, (), extra)
        edit, extra = read_form_or_json(_edits, call)
        return _request(edit, _read_images(edit, call), extra)

    def encoder(self, request: GenerationRequest, reply: Reply) -> FrameEncoder:
        """Return an encoder of image events."""
        return ImageEventEncoder(request, reply)

    def encode_result(
        self, request: GenerationRequest, reply: Reply, result: GenerationResult
    ) -> Iterable[bytes | MediaRef]:
        """Write all pictures, as addresses or as base64."""
        return write_images(request, reply, result)


def _request(
    body: ImageGenerationBody, images: tuple[MediaPart, ...], extra: dict[str, Any]
) -> GenerationRequest:
    return GenerationRequest(
        chat_type="t2i",
        messages=(Message("user", (TextPart(body.prompt), *images)),),
        model=body.model or "",
        size=nearest_ratio(body.size),
        count=body.n or 1,
        negative_prompt=body.negative_prompt or "",
        sampling=Sampling(seed=body.seed),
        delivery=_read_delivery(body),
        extra=extra,
    )


def _read_delivery(body: ImageGenerationBody) -> Delivery:
    """Read how pictures are handed over; a stream carries base64 unless addresses were asked for."""
    stream = bool(body.stream)
    default = "b64_json" if stream else "url"
    return Delivery(stream=stream, inline_media=(body.response_format or default) == "b64_json")


def _read_images(body: ImageEditBody, call: Call) -> tuple[MediaPart, ...]:
    """Read the pictures to start from; the mask comes last, its `detail` is "mask"."""
    images = list(read_pictures(call.parts, _IMAGE_PARTS))
    images += [read_reference(image, f"images[{index}]") for index, image in enumerate(body.images or ())]
    if not images:
        raise InvalidRequest("At least one image is needed", param="image")
    masks = list(read_pictures(call.parts, _MASK_PARTS))
    masks += [read_reference(body.mask, "mask")] if body.mask else []
    return (*images, *(msgspec.structs.replace(mask, detail="mask") for mask in masks[:1]))
