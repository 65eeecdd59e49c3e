"""Bodies that come as JSON or as a multipart form; a form's text fields are read as if they were JSON."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from gateway.dialects.base import Call, FormPart
from gateway.dialects.json_body import BodyReader, read_extra, read_object
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import MediaPart

__all__ = ["form_fields", "read_form_or_json", "read_pictures"]

T = TypeVar("T", bound=msgspec.Struct)


def read_form_or_json(reader: BodyReader[T], call: Call) -> tuple[T, dict[str, Any]]:
    """Return a body and its unknown fields; raises `InvalidRequest`."""
    if call.parts:
        form = form_fields(call.parts)
        return reader.convert(form), {
            name: value for name, value in form.items() if name not in reader.fields
        }
    fields = read_object(call.body)
    return reader.read(call.body), read_extra(fields, reader.fields)


def form_fields(parts: Iterable[FormPart]) -> dict[str, Any]:
    """Return a form's text fields: ``a[b]`` is the field b of an object a, ``a[]`` an item of a list."""
    fields: dict[str, Any] = {}
    for part in parts:
        if part.filename is None:
            _put(fields, part)
    return fields


def read_pictures(parts: Iterable[FormPart], names: frozenset[str]) -> tuple[MediaPart, ...]:
    """Return the pictures that were uploaded under these names."""
    return tuple(_picture(part) for part in parts if part.name in names and part.filename is not None)


def _picture(part: FormPart) -> MediaPart:
    media_type = part.media_type or "image/png"
    url = f"data:{media_type};base64,{b64encode(part.data).decode()}"
    return MediaPart("image", url=url, name=part.filename or "", media_type=media_type)


def _put(fields: dict[str, Any], part: FormPart) -> None:
    name, bracket, inner = part.name.partition("[")
    inner = inner.removesuffix("]")
    text = _text(part)
    known = fields.get(name)
    if not bracket and known is None:
        fields[name] = text
    elif bracket and not inner and isinstance(known, list | None):
        fields[name] = [*(known or ()), text]
    elif inner and isinstance(known, dict | None) and inner not in (known or {}):
        fields[name] = {**(known or {}), inner: text}
    else:
        raise InvalidRequest(f"The field {part.name[:64]!r} is given twice", param=name[:64])


def _text(part: FormPart) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"The field {part.name[:64]!r} is not UTF-8", param=part.name[:64]) from None
