"""Multipart forms in: text fields as if they were JSON."""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from gateway.dialects.base import FormPart
from gateway.dialects.json_body import BodyReader
from gateway.generation.errors import InvalidRequest

__all__ = ["form_fields", "read_fields"]

T = TypeVar("T", bound=msgspec.Struct)


def form_fields(parts: Iterable[FormPart]) -> dict[str, Any]:
    """Return a form's text fields: ``a[b]`` is the field b of an object a, ``a[]`` an item of a list."""
    fields: dict[str, Any] = {}
    for part in parts:
        if part.filename is None:
            _put(fields, part)
    return fields


def read_fields(kind: type[T], parts: Iterable[FormPart]) -> T:
    """Read a form's text fields into a Struct; raises `InvalidRequest` with the field in `param`."""
    return BodyReader(kind).convert(form_fields(parts))


def _put(fields: dict[str, Any], part: FormPart) -> None:
    name, _, inner = part.name.partition("[")
    if not inner:
        clash = name in fields
        fields[name] = _text(part)
    elif inner == "]":
        items = fields.setdefault(name, [])
        clash = not isinstance(items, list)
        fields[name] = [*items, _text(part)]
    else:
        value = fields.setdefault(name, {})
        clash = not isinstance(value, dict) or inner in value
        fields[name] = value if clash else {**value, inner.removesuffix("]"): _text(part)}
    if clash:
        raise InvalidRequest(f"The field {part.name[:64]!r} is given twice", param=name[:64])


def _text(part: FormPart) -> str:
    try:
        return part.data.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"The field {part.name[:64]!r} is not UTF-8", param=part.name[:64]) from None
