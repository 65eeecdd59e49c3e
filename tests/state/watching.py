"""Waiting for hints, which come beside others."""

import asyncio
from collections.abc import AsyncGenerator

from gateway.state.store import StateStore

_KNOCK = "knock"


async def hinted(key: str, hints: AsyncGenerator[str, None], seconds: float = 5.0) -> None:
    """Take hints until `key` comes."""
    async with asyncio.timeout(seconds):
        while await anext(hints) != key:
            pass


async def next_key(hints: AsyncGenerator[str, None]) -> str:
    """Take the next key, past what comes by the clock and late knocks."""
    async with asyncio.timeout(5):
        while (key := await anext(hints)) in {"", _KNOCK}:
            pass
    return key


async def listening(hints: AsyncGenerator[str, None], store: StateStore) -> None:
    """Wait until single keys come through: a subscription takes a moment."""
    assert await anext(hints) == ""

    async def knock() -> None:
        while True:
            await store.delete("t", _KNOCK)
            await asyncio.sleep(0.01)

    knocking = asyncio.create_task(knock())
    await hinted(_KNOCK, hints)
    knocking.cancel()
    await asyncio.wait([knocking])
