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
from gateway.accounts.ledger import Ledger
from gateway.accounts.places import Places
from gateway.accounts.pool import AccountPool
from gateway.accounts.standing import Scope
from gateway.config import AccountSettings, ConfigError, MediaSettings, Settings, UpstreamSettings
from gateway.dialects.base import Purpose
from gateway.dispatch.attachments import Attachments
from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.conversations import Conversations
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.idempotency import Idempotency
from gateway.dispatch.providers import Providers
from gateway.dispatch.routing import Routing
from gateway.dispatch.run import Lending
from gateway.generation.errors import error_codes
from gateway.media.archive import Archive, open_objects
from gateway.media.fetch import Fetcher
from gateway.media.files import FileShelf
from gateway.plugin_api.registry import GENERATORS, Registry
from gateway.reload import Reload
from gateway.state.measured import MeasuredStore
from gateway.state.open import open_store
from gateway.state.store import LeaseStore, StateStore
from gateway.tasks.assembly import Tasks, open_tasks, webhook_endpoints
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.redaction import Secret
from gateway.telemetry.request_log import RequestLog
from gateway.transport import Transport
from gateway.web.access_log import AccessLog
from gateway.web.account_admin import AccountAdmin
from gateway.web.account_board import AccountBoard
from gateway.web.auth import KeyRing
from gateway.web.errors import ErrorPages
from gateway.web.exchange import Handler
from gateway.web.gauges import Gauges, LoopWatch
from gateway.web.generate import Generate
from gateway.web.key_admin import KeyAdmin
from gateway.web.lean import LeanLimits
from gateway.web.limits import KeyLimits, Rates
from gateway.web.objects import ChatObjects, FileObjects, ModelObjects, TaskObjects
from gateway.web.open_calls import OpenCalls
from gateway.web.openapi_page import openapi_routes
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
    calls: OpenCalls
    sandbox: bool
    reload: Reload


class _Fetching(msgspec.Struct, frozen=True):
    """The connections that media are fetched through: to public addresses, and to any."""

    public: Transport
    local: Transport

    def fetcher(self, settings: MediaSettings) -> Fetcher:
        """Return a fetcher that keeps to these settings."""
        return Fetcher(self.public, self.local, settings.allowed_hosts, settings.max_mb * _MB)

    async def aclose(self) -> None:
        """Close the connections."""
        await self.public.aclose()
        await self.local.aclose()


class _Ground(msgspec.Struct, frozen=True):
    """What everything stands on, as long as the process lives."""

    sandbox: bool
    registry: Registry
    metrics: Metrics
    store: StateStore
    leases: LeaseStore
    readiness: Readiness
    watch: LoopWatch


class _Lenders(msgspec.Struct, frozen=True):
    """The upstreams, and the pool that lends their accounts."""

    providers: Providers
    pool: AccountPool


class _Works(msgspec.Struct, frozen=True):
    """What keeps something between requests, whichever way they come in."""

    catalogue: Catalogue
    archive: Archive
    fetching: _Fetching
    shelf: FileShelf
    tasks: Tasks
    conversations: Conversations


class _Guards(msgspec.Struct, frozen=True):
    """Who may come in, how often, and who is in."""

    keys: KeyRing
    calls: OpenCalls
    revocations: Revocations
    limits: KeyLimits


class _House(msgspec.Struct, frozen=True):
    """The floors that stay; what has no memory is built anew upon them for new settings."""

    ground: _Ground
    lenders: _Lenders
    works: _Works
    guards: _Guards

    async def load(self, settings: Settings, restart_needed: Sequence[str]) -> ASGIApp:
        """Take the settings over and return the application that serves by them.

        Whatever may fail comes before the first change.

        Raises:
            ConfigError, PluginError: nothing was changed.
        """
        providers, works = self.lenders.providers, self.works
        endpoints = webhook_endpoints(settings.auth)
        opened = await providers.open(settings)
        try:
            self.guards.keys.load(settings.auth)
        except ConfigError:
            await providers.discard(opened)
            raise
        self.lenders.pool.replace(providers.take(opened, settings))
        works.catalogue.load(default=settings.models.default, aliases=settings.models.aliases)
        works.archive.load(works.fetching.fetcher(settings.media), keep_all=settings.media.keep == "all")
        works.tasks.load(settings.tasks, endpoints)
        return _build_web(self, settings, restart_needed)


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything, floor by floor, and close it in reverse.

    Raises:
        ConfigError: the configuration cannot be used.
        PluginError: a plugin is broken.
        StoreUnavailable: the state cannot be opened.
    """
    sandbox = not settings.upstreams
    if sandbox:
        settings = msgspec.structs.replace(settings, upstreams={"sandbox": _SANDBOX})
    async with AsyncExitStack() as stack:
        ground = await _open_ground(stack, settings, sandbox=sandbox)
        lenders = await _open_lenders(stack, ground, settings)
        works = await _open_works(stack, ground, lenders, settings)
        house = _House(ground, lenders, works, await _open_guards(stack, ground, settings))
        log = RequestLog()
        stack.callback(log.flush)
        app = AccessLog(
            _build_web(house, settings, ()), ground.metrics, log, _SANDBOX_HEADERS if sandbox else ()
        )

        async def load(wanted: Settings, restart_needed: Sequence[str]) -> None:
            app.app = await house.load(wanted, restart_needed)

        reload = Reload(settings, load, ground.metrics, sandbox=sandbox)
        yield Gateway(app, ground.readiness, house.guards.calls, sandbox, reload)


# ------------------------------------------------------------------ the floors


async def _open_ground(stack: AsyncExitStack, settings: Settings, *, sandbox: bool) -> _Ground:
    metrics = Metrics(error_codes())
    metrics.build.labels(__version__).set(1)
    metrics.sandbox.set(sandbox)
    registry = Registry(settings.plugins.load)
    try:
        store, leases = await open_store(settings.state.url)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    stack.push_async_callback(store.aclose)
    measured = MeasuredStore(store, settings.state.url.partition(":")[0], metrics)
    watch = LoopWatch()
    _run_beside(stack, watch.run())
    return _Ground(sandbox, registry, metrics, measured, leases, Readiness(measured), watch)


async def _open_lenders(stack: AsyncExitStack, ground: _Ground, settings: Settings) -> _Lenders:
    providers = Providers(ground.registry, _data_dir(settings))
    stack.push_async_callback(providers.aclose)
    accounts = providers.take(await providers.open(settings), settings)
    metrics = ground.metrics

    def rested(scope: Scope, reason: str) -> None:
        account = f"{scope.upstream}/{scope.account}"
        metrics.count(metrics.account_cooldowns, account, scope.chat_type, reason)

    ledger = Ledger(ground.store, rested=rested)
    await stack.enter_async_context(ledger.running())
    pool = AccountPool(accounts, ledger, ground.leases)
    await stack.enter_async_context(pool.running())
    return _Lenders(providers, pool)


async def _open_works(
    stack: AsyncExitStack, ground: _Ground, lenders: _Lenders, settings: Settings
) -> _Works:
    store, providers, models = ground.store, lenders.providers, settings.models
    catalogue = Catalogue(
        providers.upstreams, providers.accounts, default=models.default, aliases=models.aliases
    )
    fetching = _Fetching(Transport(public_only=True), Transport())
    stack.push_async_callback(fetching.aclose)
    archive = _open_archive(settings.media, fetching)
    conversations = Conversations(store)
    stack.push_async_callback(conversations.aclose)
    tasks = await stack.enter_async_context(
        open_tasks(
            store,
            ground.leases,
            archive,
            settings,
            ground.metrics,
            providers.find_task_upstream,
            conversations.end_turn,
        )
    )
    _run_beside(stack, catalogue.refresh_forever())
    return _Works(catalogue, archive, fetching, FileShelf(store, archive), tasks, conversations)


def _open_archive(media: MediaSettings, fetching: _Fetching) -> Archive:
    try:
        objects = open_objects(media.store)
    except ValueError as error:
        raise ConfigError(f"media.store: {error}") from error
    return Archive(objects, fetching.fetcher(media), keep_all=media.keep == "all")


async def _open_guards(stack: AsyncExitStack, ground: _Ground, settings: Settings) -> _Guards:
    keys, calls = KeyRing(settings.auth), OpenCalls()
    revocations = Revocations(ground.store, keys, calls)
    await revocations.load()
    _run_beside(stack, revocations.watch())
    return _Guards(keys, calls, revocations, await _open_key_limits(stack, ground, settings.state.url))


async def _open_key_limits(stack: AsyncExitStack, ground: _Ground, url: str) -> KeyLimits:
    """Count over all replicas where the state is shared, else in this process."""
    rates = Rates(url)
    stack.push_async_callback(rates.aclose)
    if not url.startswith("valkey"):
        return KeyLimits(rates)
    places = Places(ground.leases)
    await stack.enter_async_context(places.running())
    return KeyLimits(rates, places)


# ------------------------------------------------------------------ the doors


def _build_web(house: _House, settings: Settings, restart_needed: Sequence[str]) -> ASGIApp:
    """Return the application: what it is made of keeps nothing, and serves by these settings for good."""
    guards, dialects = house.guards, house.ground.registry.dialects()
    faces = {dialect.name: dialect for dialect in dialects}
    native = faces.get("native", dialects[0])
    pages = ErrorPages({"/v1": faces.get("openai_chat", native), "/api": native}, native)
    limits = LeanLimits(
        settings.server.max_body_mb * _MB,
        (settings.files.max_mb + 1) * _MB,
        settings.server.public_url.rstrip("/"),
    )
    cors = settings.server.cors_origins
    handlers = _handlers(house, settings)
    app = Litestar(
        route_handlers=[
            *lean_routes(dialects, handlers, guards.keys, limits, guards.limits, guards.calls),
            *_operators(house, settings, restart_needed),
            media_route(house.works.archive, native),
        ],
        exception_handlers={Exception: pages, 500: pages, 404: pages, 405: pages},
        cors_config=CORSConfig(allow_origins=list(cors), expose_headers=list(_EXPOSED)) if cors else None,
        openapi_config=None,
        logging_config=None,
    )
    # Litestar's CORS layer must see every request, so with it there is no shorter way.
    return app if cors else DirectPaths(app)


def _operators(house: _House, settings: Settings, restart_needed: Sequence[str]) -> list[BaseRouteHandler]:
    """Return the routes beside the dialects'."""
    ground, guards, providers = house.ground, house.guards, house.lenders.providers
    upstreams, chat_types = tuple(settings.upstreams), ground.registry.names(GENERATORS)
    board = AccountBoard(house.lenders.pool, providers.upstreams)
    operations = Operations(
        readiness=ground.readiness,
        metrics=ground.metrics,
        gauges=Gauges(ground.metrics, board, ground.watch, upstreams, chat_types),
        keys=guards.keys,
        board=board,
        plugins=ground.registry.plugins(),
        upstreams=upstreams,
        chat_types=chat_types,
        sandbox=ground.sandbox,
        restart_needed=restart_needed,
    )
    return [
        *operations.routes(),
        *openapi_routes(ground.registry.dialects()),
        *KeyAdmin(guards.keys, guards.revocations).routes(),
        *AccountAdmin(guards.keys, ground.store, providers.upstreams, providers.accounts).routes(),
    ]


def _handlers(house: _House, settings: Settings) -> Mapping[Purpose, Handler]:
    """Return who serves what a dialect's route is for."""
    works, store, tasks = house.works, house.ground.store, house.works.tasks.engine
    dispatcher = _dispatcher(house, settings)
    generate = Generate(
        dispatcher,
        Idempotency(store, tasks, works.archive),
        tasks,
        works.archive,
        house.guards.calls,
        drain=settings.server.on_disconnect == "drain",
    )
    return {
        **generate.handlers(),
        **TaskObjects(tasks, works.archive).handlers(),
        **ModelObjects(works.catalogue).handlers(),
        **FileObjects(works.shelf, settings.files.max_mb * _MB).handlers(),
        **ChatObjects(dispatcher).handlers(),
    }


def _dispatcher(house: _House, settings: Settings) -> Dispatcher:
    ground, works = house.ground, house.works
    lending = Lending(
        house.lenders.pool,
        Routing(house.lenders.providers.upstreams, settings.routes),
        Attachments(works.shelf, ground.store),
        works.tasks.engine,
        ground.metrics,
        settings.deadlines.queue,
    )
    generators = {name: ground.registry.generator(name) for name in ground.registry.names(GENERATORS)}
    return Dispatcher(generators, lending, works.catalogue, works.conversations, works.archive)


# ------------------------------------------------------------------ small parts


def _data_dir(settings: Settings) -> Path:
    """Return the folder of the state file: what an upstream keeps lies beside it."""
    path = settings.state.url.removeprefix("sqlite:///")
    return Path(path).resolve().parent if path != settings.state.url else Path.cwd()


def _run_beside(stack: AsyncExitStack, work: Coroutine[Any, Any, None]) -> None:
    """Run something beside the requests until the gateway closes."""
    task = asyncio.get_running_loop().create_task(work)

    async def stop() -> None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    stack.push_async_callback(stop)
