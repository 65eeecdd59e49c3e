"""Puts the tasks' parts together: records, engine, poller, webhooks."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from gateway.config import AuthSettings, ConfigError, Settings
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

__all__ = ["open_tasks"]


@asynccontextmanager
async def open_tasks(
    store: StateStore,
    leases: LeaseStore,
    archive: Archive,
    settings: Settings,
    metrics: Metrics,
    find: Find,
    end_turn: Announce,
) -> AsyncIterator[TaskEngine]:
    """Yield the engine while poller and webhooks run; on leaving, answers under way are still stored.

    `end_turn` is told of every end before it is stored, and so are the webhooks.

    Raises:
        ConfigError: a key's webhook_url cannot be told anything.
    """
    public, local = Transport(public_only=True), Transport()
    webhooks = Webhooks(store, _endpoints(settings.auth), public, local, metrics)

    async def announce(task: Task) -> None:
        await end_turn(task)
        await webhooks.announce(task)

    waiters, keeper = Waiters(), Keeper(archive, metrics)
    records = TaskRecords(store, settings.tasks, metrics, waiters, announce)
    engine = TaskEngine(store, records, waiters, keeper, settings.tasks, find)
    poller = Poller(store, leases, records, keeper, settings.tasks, metrics, find)
    loop = asyncio.get_running_loop()
    beside = [loop.create_task(work) for work in (engine.watch(), poller.run(), webhooks.run())]
    try:
        yield engine
    finally:
        for work in beside:
            work.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        await engine.drain()
        await poller.aclose()
        await public.aclose()
        await local.aclose()


def _endpoints(settings: AuthSettings) -> Mapping[str, Endpoint]:
    endpoints = {
        key.name: Endpoint(key.webhook_url, key.webhook_secret) for key in settings.keys if key.webhook_url
    }
    for name, endpoint in endpoints.items():
        try:
            endpoint.check()
        except ValueError as error:
            raise ConfigError(f"auth.keys: {name}: {error}") from error
    return endpoints
