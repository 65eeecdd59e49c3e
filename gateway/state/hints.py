"""Hints that records have changed, from whoever learns of it to whoever watches."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator

__all__ = ["Hints"]

_MAX_PENDING = 1024


class Hints:
    """Fans changed keys out to the watchers of their table.

    A slow watcher costs bounded memory: a key waits once, and too many of them become one "".
    """

    def __init__(self) -> None:
        self._watchers: defaultdict[str, set[_Pending]] = defaultdict(set)

    def publish(self, table: str, key: str) -> None:
        """Tell the watchers of `table` that `key` has changed."""
        for pending in self._watchers.get(table, ()):
            pending.add(key)

    def refresh(self) -> None:
        """Tell every watcher that anything may have changed."""
        for watchers in self._watchers.values():
            for pending in watchers:
                pending.add("")

    async def watch(self, table: str) -> AsyncGenerator[str, None]:
        """Yield "" first, then changed keys in the order of their first change."""
        pending = _Pending()
        self._watchers[table].add(pending)
        try:
            while True:
                for key in await pending.take():
                    yield key
        finally:
            self._watchers[table].discard(pending)
            if not self._watchers[table]:
                del self._watchers[table]


class _Pending:
    """Keys that one watcher has not seen yet."""

    def __init__(self) -> None:
        self._keys = {"": None}
        self._some = asyncio.Event()
        self._some.set()

    def add(self, key: str) -> None:
        if len(self._keys) >= _MAX_PENDING:
            self._keys = {"": None}
        else:
            self._keys[key] = None
        self._some.set()

    async def take(self) -> list[str]:
        await self._some.wait()
        self._some.clear()
        keys, self._keys = self._keys, {}
        return list(keys)
