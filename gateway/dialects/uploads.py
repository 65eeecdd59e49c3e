"""Files in: the parts of a multipart upload."""

import re
from typing import Annotated, Final

import msgspec

from gateway.dialects.base import Call, FormPart
from gateway.dialects.forms import form_fields
from gateway.dialects.json_body import BodyReader
from gateway.generation.errors import InvalidRequest

__all__ = ["Upload", "UploadForm", "read_upload"]

_MAX_NAME: Final = 255
_MAX_SECONDS: Final = 30 * 86_400
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f]")


class Upload(msgspec.Struct, frozen=True):
    """A file to keep: `name` has no folder in it, `expires_after` is in seconds from now, None for never."""

    name: str
    data: bytes
    media_type: str
    purpose: str = "assistants"
    expires_after: int | None = None


class ExpiresAfter(msgspec.Struct, frozen=True):
    """When the file goes: so many seconds after it was uploaded."""

    seconds: Annotated[int, msgspec.Meta(ge=1, le=_MAX_SECONDS)]


class UploadForm(msgspec.Struct, frozen=True):
    """A multipart form with the file itself."""

    file: bytes
    purpose: str | None = None
    expires_after: ExpiresAfter | None = None


class _Options(msgspec.Struct, frozen=True):
    purpose: str | None = None
    expires_after: ExpiresAfter | None = None


_options: Final = BodyReader(_Options)


def read_upload(call: Call) -> Upload:
    """Read an upload; raises `InvalidRequest` when the part ``file`` is missing or a field is wrong."""
    part = next((part for part in call.parts if part.name == "file" and part.filename is not None), None)
    if part is None:
        raise InvalidRequest("The form must have a part 'file' with a file name", param="file")
    options = _options.convert(form_fields(call.parts))
    return Upload(
        name=_base_name(part),
        data=part.data,
        media_type=part.media_type or "application/octet-stream",
        purpose=options.purpose or "assistants",
        expires_after=options.expires_after.seconds if options.expires_after else None,
    )


def _base_name(part: FormPart) -> str:
    """Return the file's own name: the last step of whatever path was sent, in any script."""
    name = _UNPRINTABLE.sub("", (part.filename or "").replace("\\", "/").rpartition("/")[2]).strip()
    return name[-_MAX_NAME:] if name.strip(".") else "file"
