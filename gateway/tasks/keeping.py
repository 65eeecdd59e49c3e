"""Keeping what a task made, and letting go of it."""

import asyncio
from collections.abc import Iterable, Sequence

from gateway.generation.errors import GatewayError
from gateway.generation.events import Media
from gateway.media.archive import MEDIA_PATH, Archive
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics

__all__ = ["Keeper"]

_TRIES = 5


class Keeper:
    """Archives the media of tasks. A failing archive is no failure of the task."""

    def __init__(self, archive: Archive, metrics: Metrics) -> None:
        self._archive = archive
        self._metrics = metrics

    async def keep(self, media: Iterable[Media], tries: int) -> tuple[Media, ...] | None:
        """Archive media, once; None: try again later.

        After a few tries in vain a medium goes out under its provider's address, if clients can use that.
        """
        kept: list[Media] = []
        for medium in media:
            try:
                kept.append(await self._archive.keep(medium))
            except GatewayError as error:
                self._metrics.count(self._metrics.media_failures, "archive")
                get_logger().warning("media_not_archived", error_code=error.code, tries=tries)
                if tries < _TRIES or medium.private or not medium.url:
                    await self.discard(kept)
                    return None
                kept.append(medium)
        return tuple(kept)

    async def keep_patiently(self, media: Sequence[Media], pause: float) -> tuple[Media, ...]:
        """Archive media that exist nowhere else, however long that takes."""
        tries = 0
        while (kept := await self.keep(media, tries)) is None:
            tries += 1
            await asyncio.sleep(pause)
        return kept

    async def discard(self, media: Iterable[Media]) -> None:
        """Remove what was archived; raises `StorageUnavailable`."""
        for medium in media:
            if medium.url.startswith(MEDIA_PATH):
                await self._archive.delete(medium.url.removeprefix("/"))
