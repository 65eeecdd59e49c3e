"""Generated pictures: found in deltas, in tool results, in Markdown, in the stored chat."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from gateway.generation.events import Media

from .wire import ChatMessage

__all__ = ["Gallery", "find_pictures", "markdown_pictures"]

_MARKDOWN = re.compile(r"!\[[^\]]*\]\(\s*<?(https?://[^\s)>]+)")
_URL = re.compile(r"https?://\S+")
_MEDIA_TYPES = {"png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp"}


class Gallery:
    """Makes one event for each picture, however often the wire repeats its URL.

    Args:
        is_private: whether only the gateway can fetch a URL.
    """

    def __init__(self, is_private: Callable[[str], bool]) -> None:
        self._is_private = is_private
        self._seen: set[str] = set()

    def __len__(self) -> int:
        return len(self._seen)

    def add(self, urls: Iterable[str], width: int = 0, height: int = 0) -> list[Media]:
        """Return the events of the pictures that are new. The size is in pixels, 0 when unknown."""
        return [self._picture(url, width, height) for url in urls if self._is_new(url)]

    def _is_new(self, url: str) -> bool:
        if url in self._seen or not _URL.fullmatch(url):
            return False
        self._seen.add(url)
        return True

    def _picture(self, url: str, width: int, height: int) -> Media:
        suffix = url.partition("?")[0].rpartition(".")[2].lower()
        return Media(
            kind="image",
            url=url,
            media_type=_MEDIA_TYPES.get(suffix, ""),
            width=width,
            height=height,
            private=self._is_private(url),
        )


def markdown_pictures(text: str) -> list[str]:
    """Return the URLs of the pictures in a Markdown text."""
    return _MARKDOWN.findall(text)


def find_pictures(messages: Iterable[ChatMessage], response_id: str) -> list[str]:
    """Return the pictures' URLs in one stored answer, wherever that answer keeps them."""
    found: list[str] = []
    for message in messages:
        if message.id == response_id:
            parts = message.content_list if isinstance(message.content_list, list) else []
            for part in ({"content": message.content, "extra": message.extra}, *parts):
                found += _urls_of(part)
    return found


def _urls_of(part: Any) -> list[str]:
    if not isinstance(part, dict):
        return []
    content, extra = part.get("content"), part.get("extra")
    text = content.strip() if isinstance(content, str) else ""
    listed = extra.get("image_list") if isinstance(extra, dict) else None
    images = [entry.get("image") for entry in listed or () if isinstance(entry, dict)]
    whole = [text] if _URL.fullmatch(text) else markdown_pictures(text)
    return whole + [url for url in images if isinstance(url, str)]
