"""Waiting for what another task brings about."""

import asyncio
from collections.abc import Callable

__all__ = ["until"]


async def until(holds: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return once `holds` says so; fail after `seconds`."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.005)
