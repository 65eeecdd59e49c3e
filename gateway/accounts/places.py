"""Counted places that are shared by all replicas: taken, kept alive while in use, given back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from gateway.state.store import Held, LeaseStore, Slot, StoreUnavailable
from gateway.telemetry.logging import get_logger

__all__ = ["Places"]

_TTL_SECONDS: Final = 30.0
_PATIENCE_SECONDS: Final = 0.5
"""How long a call waits for a store that is slow; then the limits of this process must do."""
_RENEWALS_AT_ONCE: Final = 64


class Places:
    """The places that this process holds. One task renews them all; a process that dies loses them."""

    def __init__(self, leases: LeaseStore, *, ttl: float = _TTL_SECONDS) -> None:
        self._leases = leases
        self._ttl = ttl
        self._held: dict[str, Held] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def hold(self, slots: Sequence[Slot]) -> tuple[str, ...] | None:
        """Take a place in every slot; return their tokens, None when one of the slots is full.

        A slot of a store that is away yields no token and no refusal.
        """
        tokens: list[str] = []
        try:
            for slot in slots:
                held = await self._hold_one(slot)
                if held is None:
                    self.give_back(tokens)
                    return None
                if held.token:
                    self._held[held.token] = held
                    tokens.append(held.token)
        except asyncio.CancelledError:
            self.give_back(tokens)
            raise
        return tuple(tokens)

    def give_back(self, tokens: Sequence[str]) -> None:
        """Release the places in the background; needs a running loop only when there are any."""
        for token in tokens:
            held = self._held.pop(token, None)
            if held is not None:
                self._spawn_release(held)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Renew while open; at the end finish the releases that are under way."""
        renewer = asyncio.create_task(self._renew_forever())
        try:
            yield
        finally:
            renewer.cancel()
            await asyncio.gather(renewer, *self._late, return_exceptions=True)

    async def _hold_one(self, slot: Slot) -> Held | None:
        asked = asyncio.ensure_future(self._leases.acquire([slot], ttl=self._ttl))
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await asyncio.shield(asked)
        except (TimeoutError, StoreUnavailable):
            self._abandon(asked)
            return Held(slot.key, "", 0.0)
        except asyncio.CancelledError:
            self._abandon(asked)
            raise

    def _abandon(self, asked: "asyncio.Future[Held | None]") -> None:
        """Give a place back that comes when nobody wants it any more."""

        def came(future: "asyncio.Future[Held | None]") -> None:
            if future.cancelled() or future.exception() is not None:
                return
            held = future.result()
            if held is not None:
                self._spawn_release(held)

        asked.add_done_callback(came)

    def _spawn_release(self, held: Held) -> None:
        task = asyncio.get_running_loop().create_task(self._release(held))
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _release(self, held: Held) -> None:
        # A store that is away forgets the place by itself when its time is over.
        with suppress(StoreUnavailable):
            await self._leases.release(held)

    async def _renew_forever(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 3)
            tokens = list(self._held)
            for start in range(0, len(tokens), _RENEWALS_AT_ONCE):
                await asyncio.gather(*map(self._renew, tokens[start : start + _RENEWALS_AT_ONCE]))

    async def _renew(self, token: str) -> None:
        held = self._held.get(token)
        if held is None:
            return
        try:
            renewed = await self._leases.renew(held, ttl=self._ttl)
        except StoreUnavailable:
            return
        if renewed is None:
            self._held.pop(token, None)
            get_logger().warning("place_lost", slot=held.slot)
        elif token in self._held:
            self._held[token] = renewed
