"""Files that a request refers to, brought to where the leased account's provider can use them."""

import base64
import binascii
import hashlib
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import msgspec

from gateway.accounts.account import Account
from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest, MediaPart, Message, Part, PartKind, UpstreamFile
from gateway.generation.views import StoredFile
from gateway.media.files import FileShelf
from gateway.plugin_api.protocols import FileUpstream, Upstream
from gateway.state.store import Conflict, Record, StateStore

__all__ = ["Attachments", "has_attachments"]

_TABLE = "uploads"
_KINDS: dict[str, PartKind] = {"image": "image", "video": "video", "audio": "audio"}
_decode_upload = msgspec.json.Decoder(UpstreamFile).decode


def has_attachments(request: GenerationRequest) -> bool:
    """Say whether any part of the request still has to be brought to a provider."""
    for message in request.messages:
        for part in message.content:
            if type(part) is MediaPart:
                return True
    return False


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
        if part.file_id:
            file, data = await self._shelf.get(owner, part.file_id), None
            part = _described(part, file)
        elif part.url.startswith("data:") and isinstance(upstream, FileUpstream):
            file, data = _pasted(part, owner)
        else:
            return part
        if isinstance(upstream, FileUpstream):
            return msgspec.structs.replace(part, uploaded=await self._upload(file, data, upstream, account))
        return await self._inline(part, file)

    async def _upload(
        self, file: StoredFile, data: bytes | None, upstream: FileUpstream, account: Account
    ) -> UpstreamFile:
        key = f"{file.id}:{account.upstream}:{account.id}"
        known = await self._store.get(_TABLE, key)
        if known is not None:
            return _decode_upload(known.value)
        if data is not None:
            uploaded = await upstream.upload(file, _once(data), account)
        else:
            async with aclosing(await self._shelf.open(file.owner, file.id)) as blob:
                uploaded = await upstream.upload(file, blob.chunks, account)
        record = Record(key=key, value=msgspec.json.encode(uploaded), expires=uploaded.expires)
        with suppress(Conflict):  # Somebody else uploaded it meanwhile: both copies serve.
            await self._store.put(_TABLE, record)
        return uploaded

    async def _inline(self, part: MediaPart, file: StoredFile) -> MediaPart:
        data = await (await self._shelf.open(file.owner, file.id)).read()
        url = f"data:{file.media_type};base64,{base64.b64encode(data).decode()}"
        return msgspec.structs.replace(part, url=url, file_id="")


def _described(part: MediaPart, file: StoredFile) -> MediaPart:
    """Return the part as what the file is: callers may name a file by its id alone."""
    kind = _KINDS.get(file.media_type.partition("/")[0], "file")
    return msgspec.structs.replace(part, kind=kind, media_type=file.media_type, name=part.name or file.name)


def _pasted(part: MediaPart, owner: str) -> tuple[StoredFile, bytes]:
    """Describe pasted bytes as a file whose id follows from its content: a repeated paste is known."""
    media_type, data = _parse_data_url(part.url)
    digest = hashlib.sha256(data).hexdigest()
    file = StoredFile(
        id=f"paste-{digest}",
        owner=owner,
        name=part.name or f"{part.kind}-{digest[:8]}.{media_type.rpartition('/')[2]}",
        size=len(data),
        media_type=media_type,
        created=time.time(),
    )
    return file, data


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
