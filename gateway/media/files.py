"""Clients' own files: uploaded once, kept unchanged, given to a provider when a chat uses them."""

import secrets
import time
from collections.abc import AsyncIterable

import msgspec

from gateway.generation.errors import NotFound
from gateway.generation.views import Page, StoredFile
from gateway.media.archive import Archive
from gateway.media.blob import Blob, ByteRange
from gateway.state.store import Record, StateStore

__all__ = ["FileShelf"]

_TABLE = "files"
_decode = msgspec.json.Decoder(StoredFile).decode


class FileShelf:
    """Files by our own random ids, each visible to the owner that uploaded it."""

    def __init__(self, store: StateStore, archive: Archive) -> None:
        self._store = store
        self._archive = archive

    async def add(
        self,
        owner: str,
        content: bytes | AsyncIterable[bytes],
        *,
        name: str,
        size: int,
        media_type: str,
        purpose: str = "assistants",
        lifetime: float = 0.0,
    ) -> StoredFile:
        """Keep a file; `name` is only shown, never used as a path. `lifetime` is in seconds, 0 for ever."""
        now = time.time()
        file = StoredFile(
            id="file-" + secrets.token_hex(16),
            owner=owner,
            name=name,
            size=size,
            media_type=media_type,
            created=now,
            purpose=purpose,
            expires=now + lifetime if lifetime else 0.0,
        )
        await self._archive.put(_object(file.id), content)
        record = Record(
            key=file.id,
            value=msgspec.json.encode(file),
            owner=owner,
            order=file.created,
            expires=file.expires,
        )
        await self._store.put(_TABLE, record)
        return file

    async def get(self, owner: str, file_id: str) -> StoredFile:
        """Return the owner's file; another owner's does not exist."""
        record = await self._store.get(_TABLE, file_id)
        if record is None or record.owner != owner:
            raise NotFound("no such file")
        return _decode(record.value)

    async def list(
        self, owner: str, *, after: str | None, limit: int, newest_first: bool
    ) -> Page[StoredFile]:
        """Return a page of the owner's files."""
        records = await self._store.list(
            _TABLE, owner, after=after, limit=limit + 1, newest_first=newest_first
        )
        files = tuple(_decode(record.value) for record in records[:limit])
        return Page(files, more=len(records) > limit)

    async def open(self, owner: str, file_id: str, part: ByteRange | None = None) -> Blob:
        """Open a file's bytes."""
        file = await self.get(owner, file_id)
        return await self._archive.open_object(_object(file.id), file.media_type, part)

    async def delete(self, owner: str, file_id: str) -> None:
        """Forget a file; what a provider was given stays there."""
        file = await self.get(owner, file_id)
        await self._store.delete(_TABLE, file.id)
        await self._archive.delete(_object(file.id))


def _object(file_id: str) -> str:
    return f"files/{file_id}"
