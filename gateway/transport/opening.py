"""One door to both HTTP clients."""

import asyncio

from gateway.transport.contract import AnyTransport
from gateway.transport.limits import Deadlines
from gateway.transport.transport import Transport

__all__ = ["open_transport"]


async def open_transport(client: str, deadlines: Deadlines | None = None) -> AnyTransport:
    """Return the transport that a configuration calls ``own`` or ``httpx-aiohttp``.

    Raises ``ModuleNotFoundError`` when the latter, an extra, is not installed.
    """
    deadlines = deadlines or Deadlines()
    if client == "own":
        return Transport(deadlines=deadlines)
    return await asyncio.to_thread(_make_fallback, deadlines)


def _make_fallback(deadlines: Deadlines) -> AnyTransport:
    """Import and make what takes a fifth of a second, in a thread."""
    from gateway.transport.over_aiohttp import make_aiohttp_transport

    return make_aiohttp_transport(deadlines=deadlines)
