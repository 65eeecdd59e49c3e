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
from gateway.config import AccountSettings, ConfigError, DeadlineSettings, Settings, UpstreamSettings
from gateway.dialects.base import Purpose
from gateway.dispatch.attachments import Attachments
from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.conversations import Conversations
from gateway.dispatch.dispatcher import Dispatcher
from gateway.dispatch.idempotency import Idempotency
from gateway.dispatch.routing import Routing
from gateway.dispatch.run import Lending
from gateway.generation.errors import error_codes
from gateway.media.archive import Archive, open_objects
from gateway.media.fetch import Fetcher
from gateway.media.files import FileShelf
from gateway.plugin_api.protocols import TaskUpstream, Upstream, UpstreamContext
from gateway.plugin_api.registry import GENERATORS, Registry
from gateway.reload import Reload
from gateway.state.measured import MeasuredStore
from gateway.state.open import open_store
from gateway.state.store import LeaseStore, StateStore
from gateway.tasks.assembly import open_tasks
from gateway.tasks.engine import TaskEngine
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.redaction import Secret
from gateway.telemetry.request_log import RequestLog
from gateway.transport import Deadlines, Transport
from gateway.web.access_log import AccessLog
from gateway.web.account_admin import AccountAdmin
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


class _Ground(msgspec.Struct, frozen=True):
    """What everything stands on."""

    settings: Settings
    sandbox: bool
    registry: Registry
    metrics: Metrics
    store: StateStore
    leases: LeaseStore
    transport: Transport


class _Providers(msgspec.Struct, frozen=True):
    """The upstreams by name, the accounts of each, and the pool that lends them."""

    upstreams: Mapping[str, Upstream]
    accounts: dict[str, list[Account]]
    pool: AccountPool

    def find_task_upstream(self, upstream: str, account: str) -> tuple[TaskUpstream, Account] | None:
        """Return the parts that a task's record names, None when they are not configured any more."""
        found = self.upstreams.get(upstream)
        known = next((one for one in self.accounts.get(upstream, ()) if one.id == account), None)
        return (found, known) if known is not None and isinstance(found, TaskUpstream) else None


class _Works(msgspec.Struct, frozen=True):
    """What serves requests, whichever way they come in."""

    catalogue: Catalogue
    archive: Archive
    shelf: FileShelf
    tasks: TaskEngine
    dispatcher: Dispatcher


class _Guards(msgspec.Struct, frozen=True):
    """Who may come in, how often, and who is in."""

    keys: KeyRing
    calls: OpenCalls
    revocations: Revocations
    limits: KeyLimits


@asynccontextmanager
async def open_gateway(settings: Settings) -> AsyncIterator[Gateway]:
    """Open everything, floor by floor, and close it in reverse.

    Raises:
        ConfigError: the configuration cannot be used.
        PluginError: a plugin is broken.
        StoreUnavailable: the state cannot be opened.
    """
    async with AsyncExitStack() as stack:
        ground = await _open_ground(stack, settings)
        providers = await _open_providers(stack, ground)
        works = await _open_works(stack, ground, providers)
        guards = await _open_guards(stack, ground)
        readiness = Readiness(ground.store)
        watch = LoopWatch()
        _run_beside(stack, watch.run())
        operators = _operators(ground, providers, guards, readiness, watch)
        web = _build_web(ground, works, guards, operators)
        log = RequestLog()
        stack.callback(log.flush)
        sandbox_headers = _SANDBOX_HEADERS if ground.sandbox else ()
        app = AccessLog(web, ground.metrics, log, sandbox_headers)
        reload = Reload(ground.settings, providers.accounts, providers.pool, guards.keys, ground.metrics)
        yield Gateway(app, readiness, guards.calls, ground.sandbox, reload)


# ------------------------------------------------------------------ the floors


async def _open_ground(stack: AsyncExitStack, settings: Settings) -> _Ground:
    sandbox = not settings.upstreams
    if sandbox:
        settings = msgspec.structs.replace(settings, upstreams={"sandbox": _SANDBOX})
    metrics = Metrics(error_codes())
    metrics.build.labels(__version__).set(1)
    metrics.sandbox.set(sandbox)
    registry = Registry(settings.plugins.load)
    try:
        store, leases = await open_store(settings.state.url)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    stack.push_async_callback(store.aclose)
    transport = Transport(deadlines=_deadlines(settings.deadlines))
    stack.push_async_callback(transport.aclose)
    measured = MeasuredStore(store, settings.state.url.partition(":")[0], metrics)
    return _Ground(settings, sandbox, registry, metrics, measured, leases, transport)


async def _open_providers(stack: AsyncExitStack, ground: _Ground) -> _Providers:
    upstreams: dict[str, Upstream] = {}
    accounts: dict[str, list[Account]] = {}
    for name, table in ground.settings.upstreams.items():
        context = UpstreamContext(
            name=name,
            transport=ground.transport,
            data_dir=_data_dir(ground.settings),
            media_deadlines=_media_deadlines(ground.settings.deadlines),
        )
        upstreams[name] = await ground.registry.create_upstream(table, context)
        stack.push_async_callback(upstreams[name].aclose)
        accounts[name] = configured_accounts(name, table.accounts)
    ledger = Ledger(ground.store)
    await stack.enter_async_context(ledger.running())
    pool = AccountPool([one for some in accounts.values() for one in some], ledger, ground.leases)
    await stack.enter_async_context(pool.running())
    return _Providers(upstreams, accounts, pool)


async def _open_works(stack: AsyncExitStack, ground: _Ground, providers: _Providers) -> _Works:
    settings, store, metrics = ground.settings, ground.store, ground.metrics
    models = settings.models
    catalogue = Catalogue(
        providers.upstreams, providers.accounts, default=models.default, aliases=models.aliases
    )
    archive = _open_archive(stack, ground)
    shelf = FileShelf(store, archive)
    conversations = Conversations(store)
    stack.push_async_callback(conversations.aclose)
    find, end_turn = providers.find_task_upstream, conversations.end_turn
    tasks = await stack.enter_async_context(
        open_tasks(store, ground.leases, archive, settings, metrics, find, end_turn)
    )
    routing = Routing(providers.upstreams, settings.routes)
    lending = Lending(
        providers.pool, routing, Attachments(shelf, store), tasks, metrics, settings.deadlines.queue
    )
    generators = {name: ground.registry.generator(name) for name in ground.registry.names(GENERATORS)}
    dispatcher = Dispatcher(generators, lending, catalogue, conversations, archive)
    _run_beside(stack, catalogue.refresh_forever())
    return _Works(catalogue, archive, shelf, tasks, dispatcher)


def _open_archive(stack: AsyncExitStack, ground: _Ground) -> Archive:
    media = ground.settings.media
    public = Transport(public_only=True)
    stack.push_async_callback(public.aclose)
    fetcher = Fetcher(public, ground.transport, media.allowed_hosts, media.max_mb * _MB)
    try:
        objects = open_objects(media.store)
    except ValueError as error:
        raise ConfigError(f"media.store: {error}") from error
    return Archive(objects, fetcher, keep_all=media.keep == "all")


async def _open_guards(stack: AsyncExitStack, ground: _Ground) -> _Guards:
    keys, calls = KeyRing(ground.settings.auth), OpenCalls()
    revocations = Revocations(ground.store, keys, calls)
    await revocations.load()
    _run_beside(stack, revocations.watch())
    return _Guards(keys, calls, revocations, await _open_key_limits(stack, ground))


async def _open_key_limits(stack: AsyncExitStack, ground: _Ground) -> KeyLimits:
    """Count over all replicas where the state is shared, else in this process."""
    url = ground.settings.state.url
    rates = Rates(url)
    stack.push_async_callback(rates.aclose)
    if not url.startswith("valkey"):
        return KeyLimits(rates)
    places = Places(ground.leases)
    await stack.enter_async_context(places.running())
    return KeyLimits(rates, places)


# ------------------------------------------------------------------ the doors


def _operators(
    ground: _Ground, providers: _Providers, guards: _Guards, readiness: Readiness, watch: LoopWatch
) -> list[BaseRouteHandler]:
    """Return the routes beside the dialects'."""
    upstreams, chat_types = tuple(providers.upstreams), ground.registry.names(GENERATORS)
    operations = Operations(
        readiness=readiness,
        metrics=ground.metrics,
        gauges=Gauges(ground.metrics, providers.pool, watch, upstreams, chat_types),
        keys=guards.keys,
        pool=providers.pool,
        plugins=ground.registry.plugins(),
        upstreams=upstreams,
        chat_types=chat_types,
        sandbox=ground.sandbox,
    )
    return [
        *operations.routes(),
        *openapi_routes(ground.registry.dialects()),
        *KeyAdmin(guards.keys, guards.revocations).routes(),
        *AccountAdmin(guards.keys, ground.store, providers.upstreams, providers.accounts).routes(),
    ]


def _build_web(
    ground: _Ground,
    works: _Works,
    guards: _Guards,
    operators: Sequence[BaseRouteHandler],
) -> ASGIApp:
    settings, dialects = ground.settings, ground.registry.dialects()
    faces = {dialect.name: dialect for dialect in dialects}
    native = faces.get("native", dialects[0])
    pages = ErrorPages({"/v1": faces.get("openai_chat", native), "/api": native}, native)
    limits = LeanLimits(
        settings.server.max_body_mb * _MB,
        (settings.files.max_mb + 1) * _MB,
        settings.server.public_url.rstrip("/"),
    )
    cors = settings.server.cors_origins
    app = Litestar(
        route_handlers=[
            *lean_routes(
                dialects,
                _handlers(ground, works, guards.calls),
                guards.keys,
                limits,
                guards.limits,
                guards.calls,
            ),
            *operators,
            media_route(works.archive, native),
        ],
        exception_handlers={Exception: pages, 500: pages, 404: pages, 405: pages},
        cors_config=CORSConfig(allow_origins=list(cors), expose_headers=list(_EXPOSED)) if cors else None,
        openapi_config=None,
        logging_config=None,
    )
    # Litestar's CORS layer must see every request, so with it there is no shorter way.
    return app if cors else DirectPaths(app)


def _handlers(ground: _Ground, works: _Works, calls: OpenCalls) -> Mapping[Purpose, Handler]:
    """Return who serves what a dialect's route is for."""
    settings = ground.settings
    generate = Generate(
        works.dispatcher,
        Idempotency(ground.store, works.tasks, works.archive),
        works.tasks,
        works.archive,
        calls,
        drain=settings.server.on_disconnect == "drain",
    )
    return {
        **generate.handlers(),
        **TaskObjects(works.tasks, works.archive).handlers(),
        **ModelObjects(works.catalogue).handlers(),
        **FileObjects(works.shelf, settings.files.max_mb * _MB).handlers(),
        **ChatObjects(works.dispatcher).handlers(),
    }


# ------------------------------------------------------------------ small parts


def _deadlines(given: DeadlineSettings) -> Deadlines:
    return Deadlines(
        connect=given.connect,
        first_byte=given.first_event,
        between_bytes=given.between_events,
        total=given.total,
    )


def _media_deadlines(given: DeadlineSettings) -> Deadlines:
    """Return the deadlines of a call that is silent while it draws."""
    return Deadlines(
        connect=given.connect,
        first_byte=given.first_media,
        between_bytes=max(given.first_media, given.between_events),
        total=given.total,
    )


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
