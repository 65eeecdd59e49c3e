"""The connections of a transport, idle and busy."""

import asyncio
from collections import defaultdict, deque

from gateway.transport.protocol import Connection

__all__ = ["Pool"]


class Pool:
    """Every open connection, and per origin those that wait for the next request.

    Taking and giving back cost the same however many connections there are. There is no limit and so no slot
    to lose: what is not idle belongs to an exchange, and what neither holds is closed.
    """

    def __init__(self, idle_seconds: float, max_idle: int) -> None:
        self._idle_seconds = idle_seconds
        self._max_idle = max_idle
        self._idle: defaultdict[str, deque[Connection]] = defaultdict(deque)
        self._open: set[Connection] = set()
        self._reaper: asyncio.TimerHandle | None = None
        self._emptied = asyncio.Event()
        self.closed = False

    @property
    def open_count(self) -> int:
        """Connections that are open or being made."""
        return len(self._open)

    @property
    def idle_count(self) -> int:
        """Connections that wait for a request."""
        return sum(map(len, self._idle.values()))

    def create(self, origin: str) -> Connection:
        """Return a connection that is still to be made; it counts as open until it is lost."""
        connection = Connection(asyncio.get_running_loop(), origin, self.forget)
        self._open.add(connection)
        return connection

    def forget(self, connection: Connection) -> None:
        """Drop a connection that is gone."""
        self._open.discard(connection)
        if not self._open:
            self._emptied.set()

    def drop(self, connection: Connection) -> None:
        """Close a connection that may not have been made."""
        connection.abort()
        self.forget(connection)

    def take(self, origin: str) -> Connection | None:
        """Return the idle connection used last, or None."""
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if self._fresh(connection) and connection.reusable:
                return connection
            connection.abort()
        return None

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose exchange is complete, or close it when there are enough."""
        idle = self._idle[connection.origin]
        if self.closed or len(idle) >= self._max_idle:
            connection.abort()
            return
        connection.idle_since = connection.loop.time()
        idle.append(connection)
        if self._reaper is None:
            self._reaper = connection.loop.call_later(self._idle_seconds, self._reap)

    async def aclose(self) -> None:
        """Close every connection, busy ones too, and wait until their sockets are closed."""
        self.closed = True
        if self._reaper is not None:
            self._reaper.cancel()
        self._idle.clear()
        for connection in list(self._open):
            connection.abort()
        while self._open:
            self._emptied.clear()
            await self._emptied.wait()

    def _fresh(self, connection: Connection) -> bool:
        return connection.loop.time() - connection.idle_since < self._idle_seconds

    def _reap(self) -> None:
        """Close what has been idle too long: the oldest stand on the left."""
        self._reaper = None
        for origin, idle in list(self._idle.items()):
            while idle and not self._fresh(idle[0]):
                idle.popleft().abort()
            if not idle:
                del self._idle[origin]
        waiting = [idle[0] for idle in self._idle.values()]
        if waiting:
            oldest = min(waiting, key=lambda connection: connection.idle_since)
            self._reaper = oldest.loop.call_at(oldest.idle_since + self._idle_seconds, self._reap)
