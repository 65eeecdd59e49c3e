"""Puts the house together: the only file that knows every part."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp

from gateway import __version__
from gateway.accounts.account import Account, configured_accounts
from gateway.accounts.ledger import Ledger
from gateway.accounts.places import Places
from gateway.accounts.pool import AccountPool
from gateway.config import AccountSettings, ConfigError, Settings, UpstreamSettings
from gateway.dialects.base import Dialect, Purpose
from gateway.dispatch.attachments import Attachments
from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.conversations import Conversations
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.idempotency import Idempotency
from gateway.dispatch.routing import Routing
from gateway.dispatch.run import Lending
from gateway.media.archive import Archive, open_objects
from gateway.media.fetch import Fetcher
from gateway.media.files import FileShelf
from gateway.plugin_api.protocols import TaskUpstream, Upstream, UpstreamContext
from gateway.plugin_api.registry import GENERATORS, Registry
from gateway.reload import Reload
from gateway.state.open import open_store
from gateway.state.store import LeaseStore, StateStore
from gateway.tasks.assembly import open_tasks
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.redaction import Secret
from gateway.telemetry.request_log import RequestLog
from gateway.transport import Deadlines, Transport
from gateway.web.access_log import AccessLog
from gateway.web.account_admin import AccountAdmin
from gateway.web.auth import KeyRing
from gateway.web.errors import ErrorPages
from gateway.web.exchange import Handler
from gateway.web.generate import Generate, OpenStreams
from gateway.web.key_admin import KeyAdmin
from gateway.web.lean import LeanLimits
from gateway.web.limits import KeyLimits, Rates
from gateway.web.objects import ChatObjects, FileObjects, ModelObjects, TaskObjects
from gateway.web.operations import Operations, Readiness, media_route
from gateway.web.revocation import Revocations
from gateway.web.routes import DirectPaths, lean_routes

__all__ = ["Gateway", "open_gateway"]

_MB = 2**20
_EXPOSED = ("x-request-id", "retry-after", "x-should-retry", "x-gateway-ignored")
"""What scripts of other origins may read beside the body."""
_SANDBOX = UpstreamSettings(
    kind="sandbox", accounts=(AccountSettings(id="sandbox", secret=Secret("sandbox-token")),)
)
_SANDBOX_HEADERS = ((b"x-gateway-sandbox", b"true"),)


class Gateway(msgspec.Struct, frozen=True):
    """A running gateway: the ASGI application and what a server needs to shut it down well."""

    app: ASGIApp
    readiness: Readiness
    streams: OpenStreams
    sandbox: bool
    reload: Reload


class _Providers(msgspec.Struct, frozen=True):
    """The upstreams by name, and the accounts of each."""

    upstreams: Mapping[str, Upstream]
    accounts: dict[str, list[Account]]

    def find_task_upstream(self, upstream: str, account: str) -> tuple[TaskUpstream, Account] | None:
        """Return the parts that a task's record names, None when they are not configured any more."""
        found = self.upstreams.get(upstream)
        known = next((one for one in self.accounts.get(upstream, ()) if one.id == account), None)
        return (found, known) if known is not None and isinstance(found, TaskUpstream) else None


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything, in order, and close it in reverse.

    Raises:
        ConfigError: the configuration cannot be used.
        PluginError: a plugin is broken.
        StoreUnavailable: the state cannot be opened.
    """
    sandbox = not settings.upstreams
    if sandbox:
        settings = msgspec.structs.replace(settings, upstreams={"sandbox": _SANDBOX})
    async with AsyncExitStack() as stack:
        metrics = Metrics()
        metrics.build.labels(__version__).set(1)
        metrics.sandbox.set(sandbox)
        registry = Registry(settings.plugins.load)
        store, leases = await _open_state(stack, settings)
        transport = Transport(deadlines=_deadlines(settings))
        stack.push_async_callback(transport.aclose)
        providers = await _open_providers(stack, settings, registry, transport)
        ledger = Ledger(store)
        await stack.enter_async_context(ledger.running())
        pool = AccountPool(
            [one for accounts in providers.accounts.values() for one in accounts], ledger, leases
        )
        await stack.enter_async_context(pool.running())
        archive = _open_archive(stack, settings, transport)
        yield await _furnish(
            stack, settings, sandbox, metrics, registry, store, leases, providers, pool, archive
        )


async def _furnish(
    stack: AsyncExitStack,
    settings: Settings,
    sandbox: bool,
    metrics: Metrics,
    registry: Registry,
    store: StateStore,
    leases: LeaseStore,
    providers: _Providers,
    pool: AccountPool,
    archive: Archive,
) -> Gateway:
    """Build the upper floors on what is open, and start what runs beside requests."""
    shelf = FileShelf(store, archive)
    conversations = Conversations(store)
    catalogue = Catalogue(
        providers.upstreams,
        providers.accounts,
        default=settings.models.default,
        aliases=settings.models.aliases,
    )
    tasks = await stack.enter_async_context(
        open_tasks(store, leases, archive, settings, metrics, providers.find_task_upstream)
    )
    lending = Lending(
        pool,
        Routing(providers.upstreams, settings.routes),
        Attachments(shelf, store),
        tasks,
        metrics,
        settings.deadlines.queue,
    )
    generators = {name: registry.generator(name) for name in registry.names(GENERATORS)}
    dispatcher = Dispatcher(
        generators, lending, catalogue, conversations, archive, total_seconds=settings.deadlines.total
    )
    _run_beside(stack, catalogue.refresh_forever())
    keys = KeyRing(settings.auth)
    revocations = await _open_revocations(stack, store, keys)
    key_limits = await _open_key_limits(stack, settings, leases)
    streams = OpenStreams()
    drain = settings.server.on_disconnect == "drain"
    once = Idempotency(store, tasks, archive)
    generate = Generate(dispatcher, once, tasks, archive, streams, drain=drain)
    handlers: dict[Purpose, Handler] = {
        **generate.handlers(),
        **TaskObjects(tasks, archive).handlers(),
        **ModelObjects(catalogue).handlers(),
        **FileObjects(shelf, settings.files.max_mb * _MB).handlers(),
        **ChatObjects(dispatcher).handlers(),
    }
    readiness = Readiness(store)
    operations = Operations(
        readiness=readiness,
        metrics=metrics,
        keys=keys,
        pool=pool,
        plugins=registry.plugins(),
        upstreams=tuple(providers.upstreams),
        chat_types=tuple(generators),
        sandbox=sandbox,
    )
    operators = [
        *operations.routes(),
        *KeyAdmin(keys, revocations).routes(),
        *AccountAdmin(keys, store, providers.upstreams, providers.accounts).routes(),
    ]
    app = _web(settings, registry.dialects(), handlers, keys, key_limits, operators, archive)
    log = RequestLog()
    stack.callback(log.flush)
    outermost = AccessLog(app, metrics, log, _SANDBOX_HEADERS if sandbox else ())
    reload = Reload(settings, providers.accounts, pool, keys, metrics)
    return Gateway(outermost, readiness, streams, sandbox, reload)


async def _open_state(stack: AsyncExitStack, settings: Settings) -> tuple[StateStore, LeaseStore]:
    try:
        store, leases = await open_store(settings.state.url)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    stack.push_async_callback(store.aclose)
    return store, leases


async def _open_revocations(stack: AsyncExitStack, store: StateStore, keys: KeyRing) -> Revocations:
    revocations = Revocations(store, keys)
    await revocations.load()
    _run_beside(stack, revocations.watch())
    return revocations


async def _open_key_limits(stack: AsyncExitStack, settings: Settings, leases: LeaseStore) -> KeyLimits:
    """Count over all replicas where the state is shared, else in this process."""
    rates = Rates(settings.state.url)
    stack.push_async_callback(rates.aclose)
    if not settings.state.url.startswith("valkey"):
        return KeyLimits(rates)
    places = Places(leases)
    await stack.enter_async_context(places.running())
    return KeyLimits(rates, places)


def _deadlines(settings: Settings) -> Deadlines:
    given = settings.deadlines
    return Deadlines(
        connect=given.connect,
        first_byte=given.first_event,
        between_bytes=given.between_events,
        total=given.total,
    )


async def _open_providers(
    stack: AsyncExitStack, settings: Settings, registry: Registry, transport: Transport
) -> _Providers:
    upstreams: dict[str, Upstream] = {}
    accounts: dict[str, list[Account]] = {}
    for name, table in settings.upstreams.items():
        context = UpstreamContext(name=name, transport=transport, data_dir=_data_dir(settings))
        upstreams[name] = await registry.create_upstream(table, context)
        stack.push_async_callback(upstreams[name].aclose)
        accounts[name] = configured_accounts(name, table.accounts)
    return _Providers(upstreams, accounts)


def _data_dir(settings: Settings) -> Path:
    """Return the folder of the state file: what an upstream keeps lies beside it."""
    path = settings.state.url.removeprefix("sqlite:///")
    return Path(path).resolve().parent if path != settings.state.url else Path.cwd()


def _open_archive(stack: AsyncExitStack, settings: Settings, local: Transport) -> Archive:
    public = Transport(public_only=True)
    stack.push_async_callback(public.aclose)
    fetcher = Fetcher(public, local, settings.media.allowed_hosts, settings.media.max_mb * _MB)
    try:
        objects = open_objects(settings.media.store)
    except (ValueError, OSError) as error:
        raise ConfigError(f"media.store: {error}") from error
    return Archive(objects, fetcher, keep_all=settings.media.keep == "all")


def _run_beside(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run something beside the requests until the gateway closes."""
    task = asyncio.get_running_loop().create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)


def _web(
    settings: Settings,
    dialects: Sequence[Dialect],
    handlers: Mapping[Purpose, Handler],
    keys: KeyRing,
    key_limits: KeyLimits,
    operators: Sequence[BaseRouteHandler],
    archive: Archive,
) -> ASGIApp:
    limits = LeanLimits(
        settings.server.max_body_mb * _MB,
        (settings.files.max_mb + 1) * _MB,
        settings.server.public_url.rstrip("/"),
    )
    faces = {dialect.name: dialect for dialect in dialects}
    native = faces.get("native", dialects[0])
    pages = ErrorPages({"/v1": faces.get("openai_chat", native), "/api": native}, native)
    cors = settings.server.cors_origins
    app = Litestar(
        route_handlers=[
            *lean_routes(dialects, handlers, keys, limits, key_limits),
            *operators,
            media_route(archive, native),
        ],
        exception_handlers={Exception: pages, 500: pages, 404: pages, 405: pages},
        cors_config=CORSConfig(allow_origins=list(cors), expose_headers=list(_EXPOSED)) if cors else None,
        openapi_config=None,
        logging_config=None,
    )
    # Litestar's CORS layer must see every request, so with it there is no shorter way.
    return app if cors else DirectPaths(app)
