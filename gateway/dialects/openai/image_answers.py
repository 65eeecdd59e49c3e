"""Pictures in OpenAI's form: one body, or one event for each picture."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.dialects.base import MediaRef
from gateway.dialects.frames import named_frame
from gateway.dialects.media_urls import media_type, media_url
from gateway.dialects.openai.errors import encode_error
from gateway.dialects.token_usage import estimate_prompt
from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Finish, Media, Usage
from gateway.generation.requests import GenerationRequest, MediaPart
from gateway.generation.results import GenerationResult, Reply, Sum

__all__ = ["ImageEventEncoder", "ImagesAnswer", "write_images"]


class InputDetails(msgspec.Struct, frozen=True):
    """What the input's tokens were spent on."""

    text_tokens: int
    image_tokens: int = 0


class ImagesUsage(msgspec.Struct, frozen=True):
    """How many tokens went in and came out."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: InputDetails


class AnswerImage(msgspec.Struct, frozen=True):
    """One picture: either an address or bare base64, never both."""

    url: str | UnsetType = UNSET
    b64_json: str | UnsetType = UNSET
    revised_prompt: str | UnsetType = UNSET


class ImagesAnswer(msgspec.Struct, frozen=True):
    """All pictures. `created` is in unix seconds."""

    created: int
    data: list[AnswerImage]
    usage: ImagesUsage


_NO_DATA: Final = b'"data":[]'


def write_images(
    request: GenerationRequest, reply: Reply, result: GenerationResult
) -> Iterator[bytes | MediaRef]:
    """Write a whole answer; the bytes of inline pictures are left to whoever can fetch them."""
    envelope = msgspec.to_builtins(ImagesAnswer(reply.created, [], _usage(request, result.usage)))
    start, _, end = msgspec.json.encode(envelope | (result.extra or {})).partition(_NO_DATA)
    revised = result.choices[0].text if result.choices else ""
    yield start + b'"data":['
    for index, media in enumerate(result.media):
        yield b"," if index else b""
        yield from _write_image(request, reply, media, revised)
    yield b"]" + end


class ImageEventEncoder:
    """Writes one ``completed`` event for each picture when the generation is over; there is no end mark."""

    def __init__(self, request: GenerationRequest, reply: Reply) -> None:
        edited = any(isinstance(part, MediaPart) for message in request.messages for part in message.content)
        self._kind = "image_edit.completed" if edited else "image_generation.completed"
        self._request = request
        self._reply = reply
        self._sum = Sum()
        self._closed = False

    def encode(self, event: AnyEvent) -> bytes:
        """Return the frames of one event: b"" for all but the last one."""
        if self._closed:
            return b""
        self._sum.add(event)
        if not isinstance(event, Finish):
            return b""
        self._closed = True
        return b"".join(map(self._write_event, self._sum.result().media))

    def encode_error(self, error: GatewayError) -> bytes:
        """Return the frame that ends a broken stream."""
        return self._close(encode_error(error))

    def _close(self, body: bytes) -> bytes:
        self._closed = True
        return named_frame("error", b'{"type":"error",' + body.removeprefix(b"{"))

    def _write_event(self, media: Media) -> bytes:
        extra = self._request.extra
        event: dict[str, Any] = {
            "type": self._kind,
            **self._place(media),
            "created_at": self._reply.created,
            "size": f"{media.width}x{media.height}" if media.width else "auto",
            "quality": extra.get("quality", "auto"),
            "background": extra.get("background", "auto"),
            "output_format": media_type(media).rpartition("/")[2],
            "usage": _usage(self._request, self._sum.result().usage),
        }
        return named_frame(self._kind, msgspec.json.encode(event))

    def _place(self, media: Media) -> dict[str, str]:
        if self._request.delivery.inline_media and media.data:
            return {"b64_json": b64encode(media.data).decode()}
        return {"url": media_url(media, self._reply.base_url)}


def _write_image(
    request: GenerationRequest, reply: Reply, media: Media, revised: str
) -> Iterator[bytes | MediaRef]:
    rest = AnswerImage(revised_prompt=revised or UNSET)
    if not request.delivery.inline_media:
        yield msgspec.json.encode(msgspec.structs.replace(rest, url=media_url(media, reply.base_url)))
        return
    start, quotes, end = msgspec.json.encode(msgspec.structs.replace(rest, b64_json="")).partition(b'""')
    yield start + quotes[:1]
    yield MediaRef(media)
    yield quotes[1:] + end


def _usage(request: GenerationRequest, usage: Usage | None) -> ImagesUsage:
    """Return the provider's counts; the prompt's are estimated where nobody counted."""
    known = usage or Usage()
    prompt = known.input_tokens or estimate_prompt(request)
    return ImagesUsage(prompt, known.output_tokens, prompt + known.output_tokens, InputDetails(prompt))
