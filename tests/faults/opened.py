"""A whole gateway in this very process, with the parts that a test wants to look into."""

import inspect
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import msgspec

import gateway.app
import gateway.dispatch.providers
from gateway.accounts.ledger import Ledger
from gateway.accounts.pool import AccountPool
from gateway.config import Settings
from gateway.state.store import StateStore, StoreUnavailable
from gateway.transport import AnyTransport, Deadlines, open_transport
from tests.serving import Served, serving_gateway
from tests.transport.counting import count_connections

__all__ = ["FreezableStore", "Opened", "opened"]


class FreezableStore:
    """A real store that can be made to answer nothing."""

    def __init__(self, store: StateStore) -> None:
        self.frozen = False
        self._store = store

    def __getattr__(self, name: str) -> Any:
        act = getattr(self._store, name)
        if not inspect.iscoroutinefunction(act):
            return act

        async def ask(*args: Any, **options: Any) -> Any:
            if self.frozen and name != "aclose":
                raise StoreUnavailable("frozen by a test")
            return await act(*args, **options)

        return ask


class Opened(msgspec.Struct, frozen=True):
    """A gateway that answers at `url`, and what is inside."""

    served: Served
    pool: AccountPool
    store: FreezableStore
    transports: Sequence[AnyTransport]
    """What the providers are called through, one for each upstream."""

    @property
    def url(self) -> str:
        return self.served.url

    def in_flight(self) -> int:
        """Return how many calls are under way, over all accounts and chat types."""
        return sum(status.in_flight for status in self.pool.status())

    def busy_connections(self) -> int:
        """Return how many connections to the providers are in use."""
        counts = [count_connections(transport) for transport in self.transports]
        return sum(connections - idle for connections, idle in counts)


@asynccontextmanager
async def opened(settings: Settings, *, clock: Callable[[], float] = time.time) -> AsyncIterator[Opened]:
    """Serve a gateway on a loopback port of this process; its accounts rest by `clock`."""
    parts: dict[str, Any] = {}

    def recorded(name: str, make: Any) -> Any:
        def made(*args: Any, **options: Any) -> Any:
            part = make(*args, **options)
            parts.setdefault(name, part)
            return part

        return made

    async def open_store(url: str) -> Any:
        store, leases = await real_open_store(url)
        parts["store"] = FreezableStore(store)
        return parts["store"], leases

    transports: list[AnyTransport] = []

    async def open_recorded(client: str, deadlines: Deadlines) -> AnyTransport:
        transports.append(await open_transport(client, deadlines))
        return transports[-1]

    real_open_store = gateway.app.open_store
    with (
        patch.object(gateway.app, "Ledger", partial(Ledger, clock=clock)),
        patch.object(gateway.app, "AccountPool", recorded("pool", AccountPool)),
        patch.object(gateway.dispatch.providers, "open_transport", open_recorded),
        patch.object(gateway.app, "open_store", open_store),
    ):
        async with serving_gateway(settings) as served:
            yield Opened(served, transports=transports, **parts)
