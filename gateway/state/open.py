"""One door to every store, chosen by the scheme of its URL."""

from urllib.parse import unquote

from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.state.store import LeaseStore, StateStore, StoreUnavailable

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
    if url.startswith(_VALKEY):
        return _open_valkey(url)
    raise ValueError("state.url must be sqlite:///path, valkey://host:port/db or memory://")


def _open_valkey(url: str) -> tuple[StateStore, LeaseStore]:
    """Return stores that connect when they are first used; the client library is an extra."""
    try:
        from gateway.state.valkey import ValkeyLeases, ValkeyServer, ValkeyStore
    except ModuleNotFoundError as error:
        raise StoreUnavailable("valkey needs the extra: pip install 'qwen-gateway[valkey]'") from error
    server = ValkeyServer(url)
    return ValkeyStore(server), ValkeyLeases(server)
