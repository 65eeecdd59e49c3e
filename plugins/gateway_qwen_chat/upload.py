"""Files: temporary keys from the provider, the bytes to its object storage, an entry for messages."""

import time
from collections.abc import AsyncIterable
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import msgspec

from gateway.generation.errors import InvalidAnswer, UpstreamError, UpstreamUnavailable
from gateway.generation.requests import UpstreamFile
from gateway.generation.views import StoredFile
from gateway.plugin_api import Account, Transport, fetch

from .client import Client
from .files import UploadedFile, file_kind, uploaded_entry
from .signing import StorageKeys, sign_put
from .wire import unwrap

__all__ = ["Uploader"]

_LIFETIME = 240.0
"""Seconds that an entry is used for: its URL is presigned for 300."""


class _Place(msgspec.Struct, frozen=True):
    """Where a file goes. `file_path` is ``<user id>/<file id>_<name>``, `file_url` has a presigned query."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    file_url: str
    file_path: str
    file_id: str
    bucketname: str
    region: str

    @property
    def keys(self) -> StorageKeys:
        """The keys that sign the upload."""
        region = self.region.removeprefix("oss-")
        return StorageKeys(self.access_key_id, self.access_key_secret, self.security_token, region)

    @property
    def target(self) -> str:
        """The URL to PUT to: without the query, which signs a GET, and encoded exactly once."""
        parts = urlsplit(self.file_url)
        return f"{parts.scheme}://{parts.netloc}{quote(parts.path, safe='/%-_.~')}"


_place = msgspec.json.Decoder(_Place)
_encode = msgspec.json.Encoder().encode


class Uploader:
    """Gives the provider a file on the account whose chat will name it."""

    def __init__(self, client: Client, transport: Transport) -> None:
        self._client = client
        self._transport = transport

    async def upload(self, file: StoredFile, content: AsyncIterable[bytes], account: Account) -> UpstreamFile:
        """Upload and return the reference that a message's `files[]` takes."""
        media_type = file.media_type or "application/octet-stream"
        place = await self._place_for(file, media_type, account)
        await self._put(place, file.size, media_type, content)
        uploaded = UploadedFile(place.file_id, place.file_url, _name(file), media_type, file.size)
        return UpstreamFile(
            name=file.name,
            media_type=media_type,
            size=file.size,
            reference=uploaded_entry(uploaded, user_id=place.file_path.partition("/")[0]),
            expires=time.time() + _LIFETIME,
        )

    async def _place_for(self, file: StoredFile, media_type: str, account: Account) -> _Place:
        asked = {"filename": _name(file), "filesize": file.size, "filetype": file_kind(media_type).filetype}
        body = await self._client.call("POST", "/api/v2/files/getstsToken", account, _encode(asked))
        return unwrap(body, _place)

    async def _put(self, place: _Place, size: int, media_type: str, content: AsyncIterable[bytes]) -> None:
        """Send the bytes, with the storage's own keys only: the account's token is none of its business."""
        signed = sign_put(place.bucketname, place.file_path, media_type, place.keys, datetime.now(UTC))
        fields = [(name.encode(), value.encode()) for name, value in signed.items()]
        answer = await fetch(
            self._transport,
            "PUT",
            place.target,
            headers=[*fields, (b"content-length", str(size).encode())],
            body=content,
        )
        if answer.status != 200:
            raise _refused(answer.status)


def _name(file: StoredFile) -> str:
    """Return a name that adds no folder to the object's path."""
    return file.name.replace("/", "_") or "file"


def _refused(status: int) -> UpstreamError:
    if status >= 500:
        return UpstreamUnavailable("The provider's file storage answered with a server error.", sent=True)
    return InvalidAnswer("The provider's file storage refused the upload.", sent=True)
