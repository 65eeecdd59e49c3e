"""Work that is for one client only: it ends when the client leaves."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

import msgspec
from litestar.types import Receive

from gateway.transport import TimeoutQueue
from gateway.web.body import ClientGone

__all__ = ["ClientWatch"]

_WATCH_AFTER = 0.2
T = TypeVar("T")


class ClientWatch:
    """Watches connections whose answers take longer than a moment; most are there before."""

    def __init__(self) -> None:
        self._unwatched = TimeoutQueue[_Watcher](_WATCH_AFTER / 2, _Watcher.begin)

    async def unless_gone(self, worker: asyncio.Task[Any], receive: Receive, work: Awaitable[T]) -> T:
        """Wait for work in `worker`, the present task, and stop it when the client leaves meanwhile.

        Raises:
            ClientGone: the client left; the work was cancelled and has ended.
        """
        watcher = _Watcher(worker, receive)
        self._unwatched.add(watcher)
        try:
            return await work
        except asyncio.CancelledError:
            if watcher.client_gone and not worker.uncancel():
                raise ClientGone from None
            raise
        finally:
            self._unwatched.discard(watcher)
            watcher.end()


class _Watcher(msgspec.Struct, eq=False):
    """Waits for the end of one connection, and then cancels the task that works for it."""

    worker: asyncio.Task[Any]
    receive: Receive
    client_gone: bool = False
    task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Begin to watch."""
        self.task = asyncio.get_running_loop().create_task(self._watch())

    def end(self) -> None:
        """Watch no more."""
        if self.task is not None:
            self.task.cancel()

    async def _watch(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self.client_gone = True
        self.worker.cancel()
