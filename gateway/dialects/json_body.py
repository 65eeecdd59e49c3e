"""Bodies in: JSON bytes to typed values, every fault named with the field it sits in.

What would hurt the decoder is refused on the raw bytes first: invalid UTF-8, and nesting deep enough to
exhaust a small thread's stack. NaN, lone surrogates and numbers out of range are refused while decoding.
"""

import re
from collections.abc import Mapping
from itertools import accumulate
from typing import Any, Final, Generic, TypeVar

import msgspec

from gateway.generation.errors import InvalidRequest

__all__ = ["MAX_DEPTH", "BodyReader", "read_extra", "read_object"]

MAX_DEPTH: Final = 64
"""How deep arrays and objects may nest. Real bodies stay below 20."""

_MAX_VALUES: Final = 1_000_000
_SMALL: Final = 65_536
_NOT_STRUCTURE: Final = bytes(set(range(256)) - set(b"[]{},"))
_STEPS: Final = bytes.maketrans(b"[{]},", b"\x01\x01\xff\xff\x00")
_KEY: Final = re.compile(rb'\s*[{,]\s*"(?:[^"\\]|\\.)*"\s*:\s*', re.DOTALL)
_MISSING: Final = re.compile(r"missing required field `(.*?)`")

_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_any = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

T = TypeVar("T", bound=msgspec.Struct)


def read_object(body: bytes) -> dict[str, msgspec.Raw]:
    """Check a body and return its top-level fields, undecoded; raises `InvalidRequest`."""
    if not body.isascii():
        _require_utf8(body)
    if len(body) > _SMALL or body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _require_bounded(body)
    try:
        fields = _decode_object(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise _invalid_json(body, error) from None
    if len(_encode(fields)) != len(body):
        _require_unique(body, fields)
    return fields


def read_extra(fields: Mapping[str, msgspec.Raw], known: frozenset[str]) -> dict[str, Any]:
    """Decode the top-level fields that are not `known`; null is the same as absent."""
    if fields.keys() <= known:
        return {}
    extra = {}
    for name in (name for name in fields if name not in known):
        try:
            value = _decode_any(fields[name])
        except (msgspec.DecodeError, ValueError):
            raise InvalidRequest(f"The value of {name[:64]!r} is out of range", param=name[:64]) from None
        if value is not None:
            extra[name] = value
    return extra


class BodyReader(Generic[T]):
    """Decodes one kind of body into a Struct and says which field was wrong."""

    def __init__(self, kind: type[T]) -> None:
        self._kind = kind
        self._decode = msgspec.json.Decoder(kind).decode
        self.fields = frozenset(field.encode_name for field in msgspec.structs.fields(kind))
        """The known fields, as they are called on the wire."""

    def read(self, body: bytes) -> T:
        """Decode a body that `read_object` has passed; raises `InvalidRequest` with `param`."""
        try:
            return self._decode(body)
        except (msgspec.DecodeError, ValueError) as error:
            raise _invalid_field(error) from None

    def convert(self, fields: Mapping[str, Any]) -> T:
        """Decode form fields: text stands for numbers and booleans too."""
        try:
            return msgspec.convert(fields, self._kind, strict=False)
        except msgspec.ValidationError as error:
            raise _invalid_field(error) from None


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"The body is not UTF-8 (byte {error.start})") from None


def _require_bounded(body: bytes) -> None:
    """Refuse what nests too deep or holds too many values, without decoding and without recursion."""
    bare = body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body
    if bare.count(b'"') > 2 * _MAX_VALUES:
        raise InvalidRequest("The body holds too many values")
    structure = b"".join(bare.split(b'"')[::2]).translate(None, _NOT_STRUCTURE)
    if len(structure) > 2 * _MAX_VALUES:
        raise InvalidRequest("The body holds too many values")
    if max(accumulate(memoryview(structure.translate(_STEPS)).cast("b")), default=0) > MAX_DEPTH:
        raise InvalidRequest(f"The body nests deeper than {MAX_DEPTH} levels")


def _require_unique(body: bytes, fields: Mapping[str, msgspec.Raw]) -> None:
    """Refuse a top-level key that comes twice: walk the body, one key and value for each decoded field.

    A compact body needs no walk: written out again, it has the same length. Deeper duplicates keep the
    last value, as every JSON parser does.
    """
    position = 0
    for name, value in fields.items():
        key = _KEY.match(body, position)
        raw = bytes(value)
        if key is None or not body.startswith(raw, key.end()):
            raise InvalidRequest(f"The field {name[:64]!r} is given twice", param=name[:64])
        position = key.end() + len(raw)
    if fields and body[position:].strip() != b"}":
        raise InvalidRequest("A field is given twice")


def _invalid_json(body: bytes, error: Exception) -> InvalidRequest:
    if not body.strip():
        return InvalidRequest("The body is empty; it must be a JSON object")
    if isinstance(error, msgspec.ValidationError):
        return InvalidRequest("The body must be a JSON object")
    return InvalidRequest(f"The body is not valid JSON: {error}")


def _invalid_field(error: Exception) -> InvalidRequest:
    """Say a decoder's fault; it knows the place, but a missing field only by name."""
    reason, _, place = str(error).partition(" - at `$")
    missing = _MISSING.search(reason)
    steps = (place.rstrip("`").lstrip("."), missing[1] if missing else "")
    param = ".".join(step for step in steps if step)
    return InvalidRequest(f"{param}: {reason}" if param else reason, param=param or None)
