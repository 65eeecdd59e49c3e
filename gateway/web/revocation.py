"""Keys that are taken back while gateways run: kept in the state, seen by every replica."""

import asyncio
import time
from contextlib import aclosing

import msgspec

from gateway.state.store import Conflict, Record, StateStore, StoreUnavailable
from gateway.telemetry.logging import get_logger
from gateway.web.auth import KeyRing
from gateway.web.open_calls import OpenCalls

__all__ = ["Revocations"]

_TABLE = "keys"
_AGAIN_SECONDS = 1.0


class _Revoked(msgspec.Struct, frozen=True):
    """Whose key it was and when it was taken back, in unix seconds; the record's key is its digest."""

    name: str
    at: float


class Revocations:
    """Tells a key ring what it must refuse, and ends the calls that are under way with it.

    A digest stays refused until it is restored, whatever the configuration says; a new key under the same
    name is good at once. While the store is away the ring goes by what was read last.
    """

    def __init__(self, store: StateStore, keys: KeyRing, calls: OpenCalls) -> None:
        self._store = store
        self._keys = keys
        self._calls = calls

    async def revoke(self, name: str) -> None:
        """Refuse the key that is configured under `name`, in every replica; on disk before this returns.

        Raises:
            NotFound: no such key is configured.
            StoreUnavailable: it is not certain to outlive the store; what the store took is obeyed.
        """
        digest = self._keys.find(name).hex()
        try:
            while not await self._write(digest, name):
                get_logger().info("key_revoked_at_once", owner=name)
        finally:
            await self.load()

    async def restore(self, name: str) -> bool:
        """Take a revoked key again; False when it was not revoked. Raises `NotFound`."""
        restored = await self._store.delete(_TABLE, self._keys.find(name).hex())
        await self.load()
        return restored

    async def load(self) -> None:
        """Read what is revoked. Raises `StoreUnavailable`."""
        revoked = [bytes.fromhex(record.key) for record in await self._store.scan(_TABLE)]
        self._keys.refuse(revoked)
        self._calls.revoke(frozenset(revoked))

    async def watch(self) -> None:
        """Follow what any replica revokes; runs for ever."""
        while True:
            try:
                async with aclosing(self._store.watch(_TABLE)) as hints:
                    async for _ in hints:
                        await self.load()
            except StoreUnavailable:
                await asyncio.sleep(_AGAIN_SECONDS)

    async def _write(self, digest: str, name: str) -> bool:
        """Write it durably, over an earlier word too: that one may not be on disk. False: lost a race."""
        earlier = await self._store.get(_TABLE, digest)
        value = msgspec.json.encode(_Revoked(name, time.time()))
        record = Record(key=digest, value=value, version=earlier.version if earlier else 0)
        try:
            await self._store.put(_TABLE, record, durable=True)
        except Conflict:
            return False
        return True
