"""One door to every store, chosen by the scheme of its URL."""

from urllib.parse import unquote

from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.state.store import LeaseStore, StateStore

__all__ = ["open_store"]

_SQLITE = "sqlite:///"
_VALKEY = ("valkey://", "valkeys://")


async def open_store(url: str) -> tuple[StateStore, LeaseStore]:
    """Open `sqlite:///path`, `valkey://host:port/db` (`valkeys://` for TLS) or `memory://`.

    Close the state store only: it owns what both need.

    Raises:
        StoreUnavailable: the store cannot be used, and why.
        ValueError: the URL names no store.
    """
    if url == "memory://":
        return await SqliteStore.open(), MemoryLeases()
    if url.startswith(_SQLITE) and len(url) > len(_SQLITE):
        return await SqliteStore.open(unquote(url.removeprefix(_SQLITE))), MemoryLeases()
    raise ValueError("state.url must be sqlite:///path, valkey://host:port/db or memory://")
