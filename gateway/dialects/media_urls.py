"""Where a client finds a generated medium."""

from base64 import b64encode
from collections.abc import Iterable
from typing import Final

from gateway.generation.events import Media

__all__ = ["absolute_url", "media_lines", "media_type", "media_url"]

_DEFAULT_TYPES: Final = {"image": "image/png", "video": "video/mp4", "audio": "audio/mpeg"}


def media_url(media: Media, base_url: str) -> str:
    """Return an absolute address; bytes that were not archived become a ``data:`` URL."""
    if media.url or not media.data:
        return absolute_url(media.url, base_url)
    return f"data:{media_type(media)};base64,{b64encode(media.data).decode()}"


def absolute_url(url: str, base_url: str) -> str:
    """Return one of our own paths as an address that a client can use."""
    return base_url.rstrip("/") + url if url.startswith("/") else url


def media_lines(media: Iterable[Media], base_url: str) -> str:
    """Return the addresses of several media, a line each."""
    return "\n".join(media_url(medium, base_url) for medium in media)


def media_type(media: Media) -> str:
    """Return the medium's type, a likely one when nobody said it."""
    return media.media_type or _DEFAULT_TYPES[media.kind]
