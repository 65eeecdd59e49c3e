"""Multipart bodies, parsed strictly."""

from collections.abc import Iterable, Iterator
from typing import Any

import multipart  # type: ignore[import-untyped]

from gateway.dialects.base import FormPart
from gateway.generation.errors import InvalidRequest, TooLarge

__all__ = ["boundary_of", "parse_form"]

_MAX_PARTS = 100


def boundary_of(content_type: str) -> str | None:
    """Return the boundary of a multipart/form-data content type, None for any other type.

    Raises:
        InvalidRequest: it is multipart/form-data without a boundary.
    """
    if not content_type.lower().startswith("multipart/"):
        return None
    kind, options = multipart.parse_options_header(content_type)
    if kind.lower() != "multipart/form-data":
        return None
    boundary: str = options.get("boundary", "")
    if not boundary:
        raise InvalidRequest("multipart/form-data needs a boundary")
    return boundary


def parse_form(body: bytes, boundary: str, limit: int) -> tuple[FormPart, ...]:
    """Split a multipart body into its parts; names and file names are read as UTF-8.

    Raises:
        InvalidRequest: the body is not what its boundary says.
        TooLarge: too many parts.
    """
    try:
        with multipart.PushMultipartParser(
            boundary, max_segment_count=_MAX_PARTS, max_segment_size=limit, strict=True
        ) as parser:
            return tuple(_parts(parser.parse(body)))
    except multipart.ParserLimitReached as error:
        raise TooLarge("the form has too many or too large parts") from error
    except (multipart.MultipartError, UnicodeDecodeError) as error:
        raise InvalidRequest("the multipart body is malformed") from error


def _parts(items: Iterable[Any]) -> Iterator[FormPart]:
    """Join the parser's items: a segment, its pieces, then None."""
    segment, content = None, bytearray()
    for item in items:
        if isinstance(item, multipart.MultipartSegment):
            segment, content = item, bytearray()
        elif item is not None:
            content += item
        elif segment is not None:
            yield _part(segment, bytes(content))


def _part(segment: Any, data: bytes) -> FormPart:
    media_type = segment.content_type or ""
    return FormPart(segment.name, data, segment.filename, media_type)
