"""Deletes chats that served one call, behind the back of whoever made the call."""

import asyncio
from collections.abc import Iterable

from gateway.plugin_api import Account

from .client import Client

__all__ = ["Janitor"]

_PATIENCE = 5.0


class Janitor:
    """Keeps the deletions that are under way."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._deletions: set[asyncio.Task[None]] = set()

    def dispose(self, chats: Iterable[str], account: Account) -> None:
        """Start deleting; safe to call while the caller itself is being cancelled."""
        for chat in chats:
            task = asyncio.create_task(self._client.delete_chat(chat, account))
            self._deletions.add(task)
            task.add_done_callback(self._deletions.discard)

    async def aclose(self) -> None:
        """Give what is under way a few seconds, then stop it."""
        if self._deletions:
            _, late = await asyncio.wait(self._deletions, timeout=_PATIENCE)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
