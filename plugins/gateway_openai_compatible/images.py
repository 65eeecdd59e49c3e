"""``POST /images/generations``: what it takes and what it answers."""

import re
from typing import Any

import msgspec

from gateway.generation.events import AnyEvent, Finish, Media, Usage
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import decode_json
from gateway.plugin_api.openai_wire import encode_body, error_in, refuse

__all__ = ["encode_images", "read_images", "unsent_by_images"]

_UNSENT = ("seconds", "tools", "tool_choice", "response_format", "thinking")
_PIXELS = re.compile(r"(\d+)[x*](\d+)")


class _Order(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    model: str
    prompt: str
    n: int = 1
    size: str = ""
    seed: int | None = None
    negative_prompt: str = ""


class _Image(msgspec.Struct):
    url: str | None = None
    b64_json: bytes | None = None


class _Usage(msgspec.Struct):
    input_tokens: int = 0
    output_tokens: int = 0


class _Images(msgspec.Struct):
    data: list[_Image] = []
    usage: _Usage | None = None
    size: str | None = None
    output_format: str | None = None
    error: Any = None


_DECODER = msgspec.json.Decoder(_Images)


def encode_images(request: GenerationRequest, size: str) -> bytes:
    """Write the body of ``POST /images/generations``; `size` is in pixels, "" for the server's default."""
    body = _Order(
        model=request.model,
        prompt=request.prompt,
        n=request.count,
        size=size,
        seed=request.sampling.seed,
        negative_prompt=request.negative_prompt,
    )
    return encode_body(body, request.extra)


def unsent_by_images(request: GenerationRequest) -> list[str]:
    """Return the fields of the request that have no place in an order for pictures."""
    return [name for name in _UNSENT if getattr(request, name)]


def read_images(body: bytes) -> list[AnyEvent]:
    """Return the pictures, what they cost and the end. Raises the error inside a 200, or `InvalidAnswer`."""
    answer = decode_json(body, _DECODER)
    if answer.error and (refusal := error_in({"error": answer.error})):
        raise refuse(refusal)
    pixels = _PIXELS.fullmatch(answer.size or "")
    width, height = (int(pixels[1]), int(pixels[2])) if pixels else (0, 0)
    events: list[AnyEvent] = [
        Media(
            "image",
            url=image.url or "",
            data=image.b64_json or b"",
            media_type=f"image/{answer.output_format}" if answer.output_format else "",
            width=width,
            height=height,
        )
        for image in answer.data
        if image.url or image.b64_json
    ]
    used = answer.usage or _Usage()
    usage = Usage(used.input_tokens, used.output_tokens, media=len(events), width=width, height=height)
    return [*events, usage, Finish()]
