"""The upstreams that the configuration names, and their accounts, replaced while the gateway serves."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import msgspec

from gateway.accounts.account import Account, configured_accounts
from gateway.config import DeadlineSettings, Settings, UpstreamSettings
from gateway.plugin_api.protocols import TaskUpstream, Upstream, UpstreamContext
from gateway.plugin_api.registry import Registry
from gateway.transport import AnyTransport, Deadlines, open_transport

__all__ = ["OpenUpstream", "Providers"]


class OpenUpstream(msgspec.Struct, frozen=True, eq=False):
    """An upstream, the connections that it calls through, and what both were made from."""

    upstream: Upstream
    transport: AnyTransport
    kind: str
    http_client: str
    options: Mapping[str, Any]
    deadlines: DeadlineSettings

    def is_made_from(self, table: UpstreamSettings, deadlines: DeadlineSettings) -> bool:
        """Whether these settings would make the same."""
        mine = (self.kind, self.http_client, self.options, self.deadlines)
        return mine == (table.kind, table.http_client, table.options, deadlines)

    async def aclose(self) -> None:
        """Close the upstream, then its connections."""
        try:
            await self.upstream.aclose()
        finally:
            await self.transport.aclose()


class Providers:
    """What requests are served by. `upstreams` and `accounts`, by upstream name, change in place."""

    def __init__(self, registry: Registry, data_dir: Path) -> None:
        self.upstreams: dict[str, Upstream] = {}
        self.accounts: dict[str, list[Account]] = {}
        self._registry = registry
        self._data_dir = data_dir
        self._open: Mapping[str, OpenUpstream] = {}
        self._gone: dict[OpenUpstream, asyncio.TimerHandle] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def open(self, settings: Settings) -> Mapping[str, OpenUpstream]:
        """Return all upstreams of these settings, those that serve already among them; none is used yet.

        Raises:
            ConfigError: an upstream's table cannot be used.
            PluginError: its plugin is broken.
        """
        opened: dict[str, OpenUpstream] = {}
        try:
            for name, table in settings.upstreams.items():
                opened[name] = await self._open_one(name, table, settings.deadlines)
        except BaseException:
            await self.discard(opened)
            raise
        return opened

    async def discard(self, opened: Mapping[str, OpenUpstream]) -> None:
        """Close what was opened and will not be taken."""
        for name, one in opened.items():
            if one is not self._open.get(name):
                await one.aclose()

    def take(self, opened: Mapping[str, OpenUpstream], settings: Settings) -> list[Account]:
        """Serve from these; return their accounts. Calls under way end with the upstream they began with."""
        loop = asyncio.get_running_loop()
        for name, one in self._open.items():
            if one is not opened.get(name):  # No call of it outlives the total deadline.
                self._gone[one] = loop.call_later(one.deadlines.total, self._close, one)
        self._open = opened
        self.upstreams.clear()
        self.upstreams.update((name, one.upstream) for name, one in opened.items())
        self.accounts.clear()
        for name, table in settings.upstreams.items():
            self.accounts[name] = configured_accounts(name, table.accounts)
        return [account for accounts in self.accounts.values() for account in accounts]

    def find_task_upstream(self, upstream: str, account: str) -> tuple[TaskUpstream, Account] | None:
        """Return the parts that a task's record names, None when they are not configured any more."""
        found = self.upstreams.get(upstream)
        known = next((one for one in self.accounts.get(upstream, ()) if one.id == account), None)
        return (found, known) if known is not None and isinstance(found, TaskUpstream) else None

    async def aclose(self) -> None:
        """Close all upstreams, those that are no longer used too."""
        for timer in self._gone.values():
            timer.cancel()
        async with AsyncExitStack() as stack:
            for one in (*self._open.values(), *self._gone):
                stack.push_async_callback(one.aclose)
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _open_one(
        self, name: str, table: UpstreamSettings, deadlines: DeadlineSettings
    ) -> OpenUpstream:
        known = self._open.get(name)
        if known is not None and known.is_made_from(table, deadlines):
            return known
        transport = await open_transport(table.http_client, _deadlines(deadlines))
        context = UpstreamContext(
            name=name,
            transport=transport,
            data_dir=self._data_dir,
            media_deadlines=_media_deadlines(deadlines),
        )
        try:
            upstream = await self._registry.create_upstream(table, context)
        except BaseException:
            await transport.aclose()
            raise
        return OpenUpstream(upstream, transport, table.kind, table.http_client, table.options, deadlines)

    def _close(self, one: OpenUpstream) -> None:
        del self._gone[one]
        closing = asyncio.get_running_loop().create_task(one.aclose())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


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
