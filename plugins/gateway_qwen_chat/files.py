"""`files[]`: how a message names what is attached to it."""

import time
import uuid
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import MediaPart

__all__ = ["FileKind", "UploadedFile", "file_entry", "file_kind", "uploaded_entry"]


class FileKind(NamedTuple):
    """What the wire calls a file of one media type, in the storage request and in a message."""

    filetype: str
    file_class: str


class UploadedFile(NamedTuple):
    """An upload as the storage knows it. `url` carries its presigned query, `id` is the provider's."""

    id: str
    url: str
    name: str
    media_type: str
    size: int


_KINDS = {
    "image": FileKind("image", "vision"),
    "video": FileKind("video", "video"),
    "audio": FileKind("audio", "audio"),
}
_DOCUMENT = FileKind("file", "document")

_encode = msgspec.json.Encoder().encode


def file_kind(media_type: str) -> FileKind:
    """Return what the wire calls files of a media type; whatever it has no word for is a document."""
    return _KINDS.get(media_type.partition("/")[0].lower(), _DOCUMENT)


def file_entry(part: MediaPart) -> msgspec.Raw:
    """Return the part's entry: the one made at its upload, else one for a picture's public URL.

    Raises `InvalidRequest` for anything else, because the provider fetches nothing but pictures.
    """
    if part.uploaded is not None:
        return msgspec.Raw(part.uploaded.reference.encode())
    if part.kind != "image" or not part.url.startswith(("http://", "https://")):
        raise InvalidRequest("This provider takes only uploaded files and pictures by URL.", param="messages")
    name = part.name or urlsplit(part.url).path.rpartition("/")[2] or "image"
    return msgspec.Raw(_encode(_minimal(part.url, name, part.media_type or "image/png")))


def uploaded_entry(file: UploadedFile, user_id: str) -> str:
    """Return the full entry of an uploaded file, as JSON. `user_id` is the provider's owner of the file."""
    now = int(time.time())
    meta = {"name": file.name, "size": file.size, "content_type": file.media_type}
    record = {
        "id": file.id,
        "user_id": user_id,
        "filename": file.name,
        "hash": None,
        "data": {},
        "meta": meta,
        "created_at": now,
        "update_at": now,
    }
    more = {
        "id": file.id,
        "size": file.size,
        "file": record,
        "collection_name": "",
        "progress": 0,
        "error": "",
        "itemId": str(uuid.uuid4()),
        "uploadTaskId": str(uuid.uuid4()),
        "greenNet": "success",
    }
    return _encode({**_minimal(file.url, file.name, file.media_type), **more}).decode()


def _minimal(url: str, name: str, media_type: str) -> dict[str, Any]:
    kind = file_kind(media_type)
    return {
        "type": kind.filetype,
        "name": name,
        "file_type": media_type,
        "showType": kind.filetype,
        "file_class": kind.file_class,
        "status": "uploaded",
        "url": url,
    }
