"""Puts the tasks' parts together: records, engine, poller, webhooks; and lets them follow new settings."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from gateway.config import AuthSettings, ConfigError, Settings, TaskSettings
from gateway.media.archive import Archive
from gateway.state.store import LeaseStore, StateStore
from gateway.tasks.engine import Find, TaskEngine
from gateway.tasks.keeping import Keeper
from gateway.tasks.poller import Poller
from gateway.tasks.records import Announce, TaskRecords
from gateway.tasks.task import Task
from gateway.tasks.waiters import Waiters
from gateway.tasks.webhooks import Endpoint, Webhooks
from gateway.telemetry.metrics import Metrics
from gateway.transport import Transport

__all__ = ["Tasks", "open_tasks", "webhook_endpoints"]


class Tasks:
    """The engine, and the poller that drives what it made."""

    def __init__(
        self,
        engine: TaskEngine,
        records: TaskRecords,
        endpoints: dict[str, Endpoint],
        make_poller: Callable[[TaskSettings], Poller],
    ) -> None:
        self.engine = engine
        self._records = records
        self._endpoints = endpoints
        self._make_poller = make_poller
        self._settings: TaskSettings | None = None
        self._pollers: list[Poller] = []
        self._polling: asyncio.Task[None] | None = None

    def load(self, settings: TaskSettings, endpoints: Mapping[str, Endpoint]) -> None:
        """Go by these settings from now on; looks under way end by those that they began with."""
        self._endpoints.clear()
        self._endpoints.update(endpoints)
        if settings == self._settings:
            return
        self._settings = settings
        self._records.load(settings)
        self.engine.load(settings)
        self._stop_polling()
        self._pollers.append(self._make_poller(settings))
        self._polling = asyncio.get_running_loop().create_task(self._pollers[-1].run())

    async def aclose(self) -> None:
        """Claim nothing more, store the answers under way, then stop the looks."""
        self._stop_polling()
        await self.engine.drain()
        for poller in self._pollers:
            await poller.aclose()

    def _stop_polling(self) -> None:
        if self._polling is not None:
            self._polling.cancel()


@asynccontextmanager
async def open_tasks(
    store: StateStore,
    leases: LeaseStore,
    archive: Archive,
    settings: Settings,
    metrics: Metrics,
    find: Find,
    end_turn: Announce,
) -> AsyncIterator[Tasks]:
    """Yield the tasks while poller and webhooks run; on leaving, answers under way are still stored.

    `end_turn` is told of every end before it is stored, and so are the webhooks.

    Raises:
        ConfigError: a key's webhook_url cannot be told anything.
    """
    public, local = Transport(public_only=True), Transport()
    endpoints: dict[str, Endpoint] = {}
    webhooks = Webhooks(store, endpoints, public, local, metrics)

    async def announce(task: Task) -> None:
        await end_turn(task)
        await webhooks.announce(task)

    waiters, keeper = Waiters(), Keeper(archive, metrics)
    records = TaskRecords(store, settings.tasks, metrics, waiters, announce)
    engine = TaskEngine(store, records, waiters, keeper, settings.tasks, find)

    def make_poller(settings: TaskSettings) -> Poller:
        return Poller(store, leases, records, keeper, settings, metrics, find)

    tasks = Tasks(engine, records, endpoints, make_poller)
    tasks.load(settings.tasks, webhook_endpoints(settings.auth))
    loop = asyncio.get_running_loop()
    beside = [loop.create_task(work) for work in (engine.watch(), webhooks.run())]
    try:
        yield tasks
    finally:
        for work in beside:
            work.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await tasks.aclose()
        await public.aclose()
        await local.aclose()


def webhook_endpoints(settings: AuthSettings) -> Mapping[str, Endpoint]:
    """Return where each key's owner wants to be told. Raises `ConfigError`."""
    endpoints = {
        key.name: Endpoint(key.webhook_url, key.webhook_secret) for key in settings.keys if key.webhook_url
    }
    for name, endpoint in endpoints.items():
        try:
            endpoint.check()
        except ValueError as error:
            raise ConfigError(f"auth.keys: {name}: {error}") from error
    return endpoints
