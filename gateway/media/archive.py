"""The media store: bytes kept as objects in a folder or a bucket, handed out by random names."""

import asyncio
import mimetypes
import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from gateway.generation.errors import InvalidAnswer, NotFound, RangeNotSatisfiable, StorageUnavailable
from gateway.generation.events import Media
from gateway.media.blob import Blob, ByteRange
from gateway.media.fetch import Fetcher

if TYPE_CHECKING:
    from obstore.store import ClientConfig

__all__ = ["MEDIA_PATH", "Archive", "open_objects"]

MEDIA_PATH = "/media/"
_FILE = "file://"
_KEEP_SECONDS = 600.0
"""How long fetching and storing one medium may take."""
_ANSWER_SECONDS = 10.0
"""How long a bucket may take to begin to answer; its client alone would try for three minutes."""
_CLIENT: Final["ClientConfig"] = {"read_timeout": "30s", "timeout": "1h", "allow_http": True}
"""A bucket must not be silent for long; how long a whole file takes is the reader's affair.

Plain HTTP is for those whose AWS_ENDPOINT_URL says so.
"""
_NAME = re.compile(r"[0-9a-f]{32}\.[a-z0-9]{1,5}")
_EXTENSIONS = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "video/mp4": ".mp4",
    "audio/wav": ".wav",
    "audio/mpeg": ".mp3",
}
_DEFAULT_TYPES = {"image": "image/png", "video": "video/mp4", "audio": "audio/wav"}
_TYPES = {extension: media_type for media_type, extension in _EXTENSIONS.items()}


def open_objects(url: str) -> ObjectStore:
    """Open `file://./folder` or `s3://bucket/prefix` (credentials from the environment).

    Raises:
        ValueError: the URL names no store, or the folder cannot be made.
    """
    try:
        if url.startswith(_FILE):
            return LocalStore(Path(url.removeprefix(_FILE)).resolve(), mkdir=True, automatic_cleanup=False)
        return from_url(url, client_options=_CLIENT)
    except (BaseError, OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(f"{url!r} is no usable file://folder or s3://bucket/prefix: {reason}") from error


class Archive:
    """Keeps generated media and clients' uploads.

    Args:
        objects: where the bytes go.
        fetcher: reads what is kept elsewhere.
        keep_all: archive every medium, not only what has no public URL.
    """

    def __init__(self, objects: ObjectStore, fetcher: Fetcher, *, keep_all: bool = False) -> None:
        self._objects = objects
        self._fetcher = fetcher
        self._keep_all = keep_all

    def load(self, fetcher: Fetcher, *, keep_all: bool) -> None:
        """Fetch by this fetcher and keep so much from now on."""
        self._fetcher = fetcher
        self._keep_all = keep_all

    async def keep(self, media: Media) -> Media:
        """Archive a medium that clients could not fetch themselves; others pass unchanged.

        The URL of what was archived is relative to the gateway: ``/media/<name>``.

        Raises:
            StorageUnavailable: it cannot be kept, or not in time.
            UpstreamError: it cannot be fetched.
        """
        if not self.keeps(media):
            return media
        try:
            async with asyncio.timeout(_KEEP_SECONDS), aclosing(await self.open(media)) as blob:
                name = secrets.token_hex(16) + _extension(media, blob)
                await self.put(f"media/{name}", blob.chunks)
        except TimeoutError as error:
            raise StorageUnavailable("the media store took too long to keep the file") from error
        return msgspec.structs.replace(media, url=MEDIA_PATH + name, data=b"", private=False)

    def keeps(self, media: Media) -> bool:
        """Say whether a medium is to be archived: it has no address that clients can use, or all are."""
        return bool(media.data or media.private or self._keep_all) and not media.url.startswith(MEDIA_PATH)

    async def open(self, media: Media, part: ByteRange | None = None) -> Blob:
        """Open a medium wherever it is: in the event, in the store, at its provider."""
        if media.data:
            return _in_memory(media, part)
        if media.url.startswith(MEDIA_PATH):
            return await self.open_name(media.url.removeprefix(MEDIA_PATH), part)
        if media.url.startswith("data:"):
            raise InvalidAnswer("the provider sent a data URL where a file was expected")
        return await self._fetcher.open(media.url, private=media.private, part=part)

    async def open_name(self, name: str, part: ByteRange | None = None) -> Blob:
        """Open an archived medium by its public name; anything that is no such name is `NotFound`."""
        if not _NAME.fullmatch(name):
            raise NotFound("no such file")
        return await self.open_object(f"media/{name}", _media_type(name), part)

    async def put(self, key: str, content: bytes | AsyncIterable[bytes]) -> None:
        """Keep bytes under a key; a half-written object is never visible.

        Raises:
            StorageUnavailable: the disk is full, the bucket does not answer.
        """
        source = content if isinstance(content, bytes) else _Source(content)
        try:
            await obstore.put_async(self._objects, key, source)
        except (BaseError, OSError) as error:
            raise StorageUnavailable("the media store cannot keep the file") from error
        finally:
            if isinstance(source, _Source):
                await source.aclose()

    async def open_object(self, key: str, media_type: str, part: ByteRange | None = None) -> Blob:
        """Open an object; raises `NotFound` when it is gone, `RangeNotSatisfiable` for a bad range."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                size = (await obstore.head_async(self._objects, key))["size"]
                start, end = _clamp(part, size)
                whole = (start, end) == (0, size)
                options: Any = None if whole else {"range": (start, end)}
                result = await obstore.get_async(self._objects, key, options=options)
        except FileNotFoundError:
            raise NotFound("no such file") from None
        except (BaseError, OSError) as error:
            raise StorageUnavailable("the media store cannot be read") from error
        return Blob(media_type, size, start, end, _stream(result))

    async def delete(self, key: str) -> None:
        """Forget an object; one that is gone already is no error."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await obstore.delete_async(self._objects, key)
        except FileNotFoundError:
            return
        except (BaseError, OSError) as error:
            raise StorageUnavailable("the media store cannot delete the file") from error


class _Source:
    """Content that obstore reads in tasks of its own, which a cancelled `put` would leave behind."""

    def __init__(self, content: AsyncIterable[bytes]) -> None:
        self._content = aiter(content)
        self._reading: asyncio.Task[Any] | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._reading = asyncio.current_task()
        try:
            return await anext(self._content)
        finally:
            self._reading = None

    async def aclose(self) -> None:
        """Stop a read that nobody waits for any more."""
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


async def _stream(result: Any) -> AsyncGenerator[bytes, None]:
    async for chunk in result.stream(min_chunk_size=256 * 1024):
        yield bytes(chunk)


def _in_memory(media: Media, part: ByteRange | None) -> Blob:
    size = len(media.data)
    start, end = _clamp(part, size)
    return Blob(_type_of(media), size, start, end, _once(media.data[start:end]))


async def _once(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data


def _clamp(part: ByteRange | None, size: int) -> tuple[int, int]:
    """Fit a range into a file; a negative start counts from the end."""
    if part is None:
        return 0, size
    start = max(0, size + part.start) if part.start < 0 else part.start
    if start >= size:
        raise RangeNotSatisfiable(size)
    return start, size if part.end is None else min(part.end, size)


def _type_of(media: Media) -> str:
    return media.media_type or _DEFAULT_TYPES[media.kind]


def _extension(media: Media, blob: Blob) -> str:
    media_type = media.media_type or blob.media_type.partition(";")[0]
    if media_type not in _EXTENSIONS:
        media_type = _DEFAULT_TYPES[media.kind]
    return _EXTENSIONS[media_type]


def _media_type(name: str) -> str:
    extension = "." + name.rpartition(".")[2]
    return _TYPES.get(extension) or mimetypes.guess_type(name)[0] or "application/octet-stream"
