"""Files that a request refers to, brought to where the leased account's provider can use them."""

import base64
import binascii
import hashlib
import time
from collections.abc import AsyncGenerator, AsyncIterable

import msgspec

from gateway.accounts.account import Account
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest, MediaPart, Message, Part, UpstreamFile
from gateway.generation.views import StoredFile
from gateway.media.files import FileShelf
from gateway.plugin_api.protocols import FileUpstream, Upstream
from gateway.state.store import Conflict, Record, StateStore

__all__ = ["Attachments", "has_attachments"]

_TABLE = "uploads"
_decode_upload = msgspec.json.Decoder(UpstreamFile).decode


def has_attachments(request: GenerationRequest) -> bool:
    """Say whether any part of the request still has to be brought to a provider."""
    return any(type(part) is MediaPart for message in request.messages for part in message.content)


class Attachments:
    """Uploads what a chat uses, once per file and account; other providers get it inline."""

    def __init__(self, shelf: FileShelf, store: StateStore) -> None:
        self._shelf = shelf
        self._store = store

    async def attach(
        self, request: GenerationRequest, owner: str, upstream: Upstream, account: Account
    ) -> GenerationRequest:
        """Return the request with every attachment in a form that this upstream takes.

        Raises:
            InvalidRequest: a data URL cannot be read.
            NotFound: a file id that this owner does not have.
        """
        messages = [
            await self._attach_message(message, owner, upstream, account) for message in request.messages
        ]
        return msgspec.structs.replace(request, messages=tuple(messages))

    async def _attach_message(
        self, message: Message, owner: str, upstream: Upstream, account: Account
    ) -> Message:
        content = [
            await self._attach_part(part, owner, upstream, account) if type(part) is MediaPart else part
            for part in message.content
        ]
        return msgspec.structs.replace(message, content=tuple(content))

    async def _attach_part(self, part: MediaPart, owner: str, upstream: Upstream, account: Account) -> Part:
        if not part.file_id and not part.url.startswith("data:"):
            return part
        if isinstance(upstream, FileUpstream):
            return msgspec.structs.replace(part, uploaded=await self._upload(part, owner, upstream, account))
        return await self._inline(part, owner)

    async def _upload(
        self, part: MediaPart, owner: str, upstream: FileUpstream, account: Account
    ) -> UpstreamFile:
        file, content = await self._open(part, owner)
        key = f"{file.id}:{account.upstream}:{account.id}"
        known = await self._store.get(_TABLE, key)
        if known is not None:
            return _decode_upload(known.value)
        uploaded = await upstream.upload(file, content, account)
        record = Record(key=key, value=msgspec.json.encode(uploaded), expires=uploaded.expires)
        try:
            await self._store.put(_TABLE, record)
        except Conflict:
            # Somebody else uploaded it meanwhile: both copies serve.
            return uploaded
        return uploaded

    async def _inline(self, part: MediaPart, owner: str) -> MediaPart:
        if not part.file_id:
            return part
        file, content = await self._open(part, owner)
        data = b"".join([chunk async for chunk in content])
        url = f"data:{file.media_type};base64,{base64.b64encode(data).decode()}"
        return msgspec.structs.replace(part, url=url, file_id="", media_type=file.media_type, name=file.name)

    async def _open(self, part: MediaPart, owner: str) -> tuple[StoredFile, AsyncIterable[bytes]]:
        if part.file_id:
            file = await self._shelf.get(owner, part.file_id)
            return file, (await self._shelf.open(owner, part.file_id)).chunks
        media_type, data = _parse_data_url(part.url)
        return _pasted(owner, part, media_type, data), _once(data)


def _pasted(owner: str, part: MediaPart, media_type: str, data: bytes) -> StoredFile:
    """Describe pasted bytes as a file whose id follows from its content: a repeated paste is known."""
    digest = hashlib.sha256(data).hexdigest()
    name = part.name or f"{part.kind}-{digest[:8]}.{media_type.rpartition('/')[2]}"
    return StoredFile(
        id=f"paste-{digest}",
        owner=owner,
        name=name,
        size=len(data),
        media_type=media_type,
        created=time.time(),
    )


def _parse_data_url(url: str) -> tuple[str, bytes]:
    head, comma, body = url.removeprefix("data:").partition(",")
    media_type, _, encoding = head.partition(";")
    try:
        if not comma or encoding.rpartition(";")[2] != "base64":
            raise ValueError("not base64")
        return media_type or "application/octet-stream", base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest("a data: URL must hold base64", param="messages") from error


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
