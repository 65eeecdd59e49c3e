"""What a child process does to a state file: `python -m tests.state.sqlite_child <act> <path>`.

It tells its parent of every step by one line, after the step is done.
"""

import asyncio
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from gateway.state.sqlite import SqliteStore
from gateway.state.store import Record, StoreUnavailable

UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)[1]


def tell(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def limit(size: int) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, UNLIMITED))


def size_of(path: str) -> int:
    return Path(path).stat().st_size


async def own(path: str) -> None:
    """Hold the file until killed."""
    await SqliteStore.open(path)
    tell("open")
    await asyncio.sleep(60)


async def write(path: str) -> None:
    """Make and change durable records among ordinary ones, without an end."""
    store = await SqliteStore.open(path)

    async def writer(name: int) -> None:
        for n in range(1_000_000):
            ordinary = store.put("ordinary", Record(key=f"{name}-{n}", value=b"x" * 500))
            made = store.put("durable", Record(key=f"{name}-{n}", value=b"x" * 500), durable=True)
            made, _ = await asyncio.gather(made, ordinary)
            await store.put("durable", msgspec.structs.replace(made, value=b"done"), durable=True)
            tell(f"{name}-{n}")

    await asyncio.gather(*(writer(name) for name in range(4)))


async def fill(path: str) -> None:
    """Run into the limit on the size of files, then go on when it is lifted."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    store = await SqliteStore.open(path, min_free_bytes=0)
    first = await store.put("t", Record(key="first", value=b"1"), durable=True)
    limit(50_000 + size_of(f"{path}-wal"))
    kept = await _put_until_refused(store)
    first = await _update_until_refused(store, first)
    assert await store.get("t", "first") == first
    await _refused(store.check_durable())
    await _refused(store.put("t", Record(key="more", value=b"x" * 50_000)))

    limit(UNLIMITED)
    await store.check_durable()
    await store.put("t", msgspec.structs.replace(first, value=b"2"), durable=True)
    found = {record.key for record in await store.scan("filler")}
    assert kept <= found
    await store.aclose()
    tell(f"kept {len(kept)}")


async def _put_until_refused(store: SqliteStore) -> set[str]:
    kept: set[str] = set()
    try:
        for n in range(1000):
            await store.put("filler", Record(key=str(n), value=b"x" * 2000), durable=n % 2 == 0)
            kept.add(str(n))
    except StoreUnavailable:
        return kept
    raise AssertionError("the limit was not felt")


async def _update_until_refused(store: SqliteStore, record: Record) -> Record:
    """Take what the last larger record has left: an update is one page, like the store's own probe."""
    with suppress(StoreUnavailable):
        for _ in range(100):
            record = await store.put("t", record, durable=True)
    return record


async def _refused(call) -> None:
    try:
        await call
    except StoreUnavailable:
        return
    raise AssertionError("a full disk was not noticed")


async def sync(path: str) -> None:
    """Write one by one, then fifty at once."""
    store = await SqliteStore.open(path)
    tell("ready")
    for n in range(5):
        await store.put("t", Record(key=f"ordinary{n}", value=b"x"))
        tell(f"ordinary {n}")
    for n in range(5):
        await store.put("t", Record(key=f"durable{n}", value=b"x"), durable=True)
        tell(f"durable {n}")
    await asyncio.gather(
        *(store.put("t", Record(key=f"crowd{n}", value=b"x"), durable=True) for n in range(50))
    )
    tell("crowd")


async def refuse(path: str) -> None:
    """Say why the file cannot be opened, as a user who is not root."""
    await (await SqliteStore.open()).aclose()  # imports what a stranger to our files could not read
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        await SqliteStore.open(path)
    except StoreUnavailable as error:
        tell(str(error))


if __name__ == "__main__":
    asyncio.run({act.__name__: act for act in (own, write, fill, sync, refuse)}[sys.argv[1]](sys.argv[2]))
