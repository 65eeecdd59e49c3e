"""The frames of the completion stream, decoded by type.

What may be absent may also be null. Parts whose form varies stay raw until somebody needs them, so that an
odd one costs itself only and never the text beside it.
"""

import re
from typing import TypeVar

import msgspec

from gateway.generation.events import Usage

__all__ = [
    "Choice",
    "Delta",
    "Extra",
    "Frame",
    "Items",
    "Picture",
    "may_hold_text",
    "read_frame",
    "read_part",
    "read_usage",
]

T = TypeVar("T")


class Items(msgspec.Struct, frozen=True, gc=False):
    """A list that grows from frame to frame."""

    content: tuple[str, ...] | None = None


class Picture(msgspec.Struct, frozen=True, gc=False):
    """One picture that a tool made."""

    image: str = ""


class Extra(msgspec.Struct, frozen=True, gc=False):
    """What comes beside a delta's text. `output_image_hw` holds pairs of height and width."""

    summary_title: Items | None = None
    summary_thought: Items | None = None
    image_list: tuple[Picture, ...] | None = None
    output_image_hw: tuple[tuple[int, int], ...] | None = None


class Delta(msgspec.Struct, frozen=True, gc=False):
    """A piece of one phase of the answer."""

    content: str | None = None
    phase: str | None = None
    status: str | None = None
    extra: msgspec.Raw = msgspec.Raw()


class Choice(msgspec.Struct, frozen=True, gc=False):
    """The only alternative that the wire knows."""

    delta: Delta | None = None
    finish_reason: str | None = None


class _Created(msgspec.Struct, frozen=True, gc=False):
    response_id: str = ""


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One event of the stream."""

    choices: tuple[Choice, ...] | None = None
    response_id: str | None = None
    usage: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    created: _Created | None = msgspec.field(name="response.created", default=None)


class _OutputDetails(msgspec.Struct, frozen=True, gc=False):
    reasoning_tokens: int | None = None


class _PromptDetails(msgspec.Struct, frozen=True, gc=False):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True, gc=False):
    input_tokens: int | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    prompt_tokens_details: _PromptDetails | None = None
    image_count: int | None = None
    width: int | None = None
    height: int | None = None


_WORD = re.compile(rb"[\w .:\[\]-]{0,64}")
_decode_frame = msgspec.json.Decoder(Frame).decode
_usage = msgspec.json.Decoder(_Usage)


def read_frame(data: bytes) -> Frame | None:
    """Return one event, None for what is not one."""
    try:
        return _decode_frame(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def may_hold_text(data: bytes) -> bool:
    """Whether what is not an event may have been a piece of the answer: cut, or in another form.

    A word (an end marker, a proxy's ping) and whole JSON without choices are none.
    """
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _WORD.fullmatch(data.strip()) is None
    return isinstance(found, dict) and "choices" in found


def read_part(raw: msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T | None:
    """Return a part that was left raw, None when it is absent or has another form."""
    if not raw:
        return None
    try:
        return decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def read_usage(raw: msgspec.Raw) -> Usage | None:
    """Return the usage so far in our words, None when there is none."""
    used = read_part(raw, _usage)
    if used is None:
        return None
    return Usage(
        input_tokens=used.input_tokens or 0,
        output_tokens=used.output_tokens or 0,
        reasoning_tokens=(used.output_tokens_details or _OutputDetails()).reasoning_tokens or 0,
        cached_tokens=(used.prompt_tokens_details or _PromptDetails()).cached_tokens or 0,
        media=used.image_count or 0,
        width=used.width or 0,
        height=used.height or 0,
    )
