"""Pictures that a JSON body points at."""

import msgspec

from gateway.dialects.parts import media_part
from gateway.generation.requests import MediaPart

__all__ = ["ImageReference", "read_reference"]


class ImageReference(msgspec.Struct, frozen=True):
    """A picture: an address (http, https or data:) or the id of an uploaded file."""

    image_url: str | None = None
    file_id: str | None = None


def read_reference(reference: str | ImageReference, path: str) -> MediaPart:
    """Read a picture; a bare text is an address or a file's id. Raises `InvalidRequest`."""
    if isinstance(reference, str):
        return media_part("image", reference, path)
    return media_part("image", {"url": reference.image_url, "file_id": reference.file_id}, path)
