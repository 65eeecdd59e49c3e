"""Writes that wait for each other: what one pass of the event loop has to say leaves together."""

import asyncio
from typing import Any

__all__ = ["BatchingTransport"]

_MOST_HELD = 64 * 1024


class BatchingTransport(asyncio.Transport):
    """A transport that sends what was written to it when the loop has run what was ready.

    The head of a message and its body become one packet and one system call. And where many connections
    lead to one peer it is woken once, not for each of them: that is most of what a small write costs.
    Large amounts leave at once, so that the transport below can ask for a pause.
    """

    __slots__ = ("_held", "_held_size", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._held: list[Any] = []
        self._held_size = 0

    def write(self, data: Any) -> None:
        """Send data soon, in order."""
        if not self._held:
            self._loop.call_soon(self._send)
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size > _MOST_HELD:
            self._send()

    def close(self) -> None:
        """Close once everything is sent."""
        self._send()
        self._transport.close()

    def abort(self) -> None:
        """Close now; what waits is not sent."""
        self._held.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        """Whether the connection is closed, or about to be."""
        return self._transport.is_closing()

    def pause_reading(self) -> None:
        """Take nothing more in."""
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Take data in again."""
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what the connection knows about itself."""
        return self._transport.get_extra_info(name, default)

    def _send(self) -> None:
        held = self._held
        if not held:
            return
        self._transport.write(held[0] if len(held) == 1 else b"".join(held))
        held.clear()
        self._held_size = 0
