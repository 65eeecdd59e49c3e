"""Revoked keys: seen by every replica, kept over restarts, and never a way in."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from gateway.config import AuthSettings, KeyDigest, KeySettings
from gateway.generation.errors import NotFound, Unauthorized
from gateway.state.open import open_store
from gateway.state.store import StoreUnavailable
from gateway.web.auth import KeyRing
from gateway.web.open_calls import OpenCalls
from gateway.web.revocation import Revocations
from tests.web.waiting import until

pytestmark = pytest.mark.anyio

SETTINGS = AuthSettings(
    keys=tuple(KeySettings(name=name, key=KeyDigest(f"sk-{name}")) for name in ("a", "b"))
)


@asynccontextmanager
async def replica(url: str):
    """Open what one process holds; `url` may be shared."""
    store, _ = await open_store(url)
    keys = KeyRing(SETTINGS)
    revocations = Revocations(store, keys, OpenCalls())
    await revocations.load()
    watching = asyncio.create_task(revocations.watch())
    try:
        yield keys, revocations
    finally:
        watching.cancel()
        await asyncio.wait([watching])
        await store.aclose()


def refuses(keys: KeyRing, name: str) -> bool:
    try:
        keys.identify({b"x-api-key": b"sk-" + name.encode()})
    except Unauthorized:
        return True
    return False


async def seen(keys: KeyRing, name: str, refused: bool) -> None:
    await until(lambda: refuses(keys, name) is refused, seconds=1.0)


async def test_every_replica_refuses_within_a_second(valkey) -> None:
    async with replica(valkey.url) as (one, revocations), replica(valkey.url) as (two, _):
        assert not refuses(two, "a")
        await revocations.revoke("a")
        assert refuses(one, "a")
        await seen(two, "a", True)
        assert not refuses(two, "b")
        async with replica(valkey.url) as (late, _):
            assert refuses(late, "a")
        assert await revocations.restore("a")
        await seen(two, "a", False)
        assert not await revocations.restore("a")


async def test_a_revocation_outlives_its_process(tmp_path) -> None:
    url = f"sqlite:///{tmp_path}/gateway.db"
    async with replica(url) as (_, revocations):
        await revocations.revoke("a")
        await revocations.revoke("a")
    async with replica(url) as (keys, _):
        assert refuses(keys, "a")
        assert not refuses(keys, "b")


async def test_a_key_that_is_not_configured_cannot_be_revoked() -> None:
    async with replica("memory://") as (_, revocations):
        for act in (revocations.revoke, revocations.restore):
            with pytest.raises(NotFound):
                await act("c")


async def test_what_was_read_holds_while_the_store_is_away_and_the_watch_goes_on(valkey) -> None:
    async with replica(valkey.url) as (one, revocations), replica(valkey.url) as (two, _):
        await revocations.revoke("a")
        await seen(two, "a", True)
        valkey.freeze()
        try:
            await asyncio.sleep(0.5)
            assert refuses(one, "a")
            assert refuses(two, "a")
        finally:
            valkey.thaw()
        began = time.monotonic()
        await asyncio.sleep(1.2)
        await revocations.revoke("b")
        await seen(two, "b", True)
        assert time.monotonic() - began < 5


async def test_a_revocation_is_synced_a_second_one_too() -> None:
    store, _ = await open_store("memory://")
    kept = DurableOnly(store)
    revocations = Revocations(kept, KeyRing(SETTINGS), OpenCalls())
    await revocations.revoke("a")
    await revocations.revoke("a")
    assert kept.synced == 2
    await store.aclose()


class DurableOnly:
    """A store that counts what was written for good, and takes nothing else."""

    def __init__(self, store) -> None:
        self._store = store
        self.synced = 0

    async def put(self, table, record, *, durable=False, fence=None):
        assert durable
        self.synced += 1
        return await self._store.put(table, record, durable=True)

    def __getattr__(self, name):
        return getattr(self._store, name)


async def test_a_store_that_promises_nothing_refuses_the_key_all_the_same(valkey) -> None:
    valkey.ask("CONFIG", "SET", "appendfsync", "everysec")
    try:
        async with replica(valkey.url) as (keys, revocations):
            with pytest.raises(StoreUnavailable):
                await revocations.revoke("a")
            assert refuses(keys, "a")
    finally:
        valkey.ask("CONFIG", "SET", "appendfsync", "always")
