"""Taking a changed configuration over while the gateway serves: accounts and keys, on SIGHUP or a new file.

What cannot be changed without a restart is named in the log. A configuration that cannot be used changes
nothing.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec

from gateway.accounts.account import Account, configured_accounts
from gateway.accounts.pool import AccountPool
from gateway.config import ConfigError, Configuration, Settings, UpstreamSettings
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics
from gateway.web.auth import KeyRing

__all__ = ["Reload", "Source", "following"]

_LOOK_SECONDS: Final = 0.25
"""How often files are looked at. A change is taken when it has held still for one look."""
_TAKEN_OVER: Final = frozenset({"auth", "upstreams"})

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Source(msgspec.Struct, frozen=True):
    """Where the configuration comes from: how to read it again, and the files that it was read from."""

    load: Callable[[], Configuration]
    files: tuple[Path, ...]


class Reload:
    """What of a running gateway a new configuration changes.

    `accounts` is the table that everybody who looks accounts up holds: it is changed in place.
    """

    def __init__(
        self,
        running: Settings,
        accounts: dict[str, list[Account]],
        pool: AccountPool,
        keys: KeyRing,
        metrics: Metrics,
    ) -> None:
        self._running = running
        self._accounts = accounts
        self._pool = pool
        self._keys = keys
        self._outcome = metrics.config_reloaded
        self._outcome.set(1)

    def apply(self, settings: Settings) -> Sequence[str]:
        """Take accounts and keys over; return the settings that wait for a restart.

        Raises:
            ConfigError: nothing was changed.
        """
        if not self._keys.open and not settings.auth.keys:
            raise ConfigError("auth.keys is empty now: restart the gateway to serve without keys")
        if not settings.upstreams and "sandbox" not in self._running.upstreams:
            raise ConfigError("upstreams is empty now: restart the gateway to serve from the sandbox")
        accounts = self._wanted_accounts(settings)
        self._keys.load(settings.auth)
        self._accounts.update(accounts)
        self._pool.replace([one for some in self._accounts.values() for one in some])
        return self._waiting_for_restart(settings)

    def note(self, *, successful: bool) -> None:
        """Tell the metrics how the last reload went."""
        self._outcome.set(successful)

    def _wanted_accounts(self, settings: Settings) -> dict[str, list[Account]]:
        """Return the new accounts of the upstreams that run; one that is gone has none."""
        tables = settings.upstreams or self._running.upstreams
        return {
            name: configured_accounts(name, tables[name].accounts) if name in tables else []
            for name in self._accounts
        }

    def _waiting_for_restart(self, settings: Settings) -> Sequence[str]:
        sections = [
            name
            for name in settings.__struct_fields__
            if name not in _TAKEN_OVER and getattr(settings, name) != getattr(self._running, name)
        ]
        before, after = self._running.upstreams, settings.upstreams or self._running.upstreams
        upstreams = [
            f"upstreams.{name}"
            for name in sorted(before.keys() | after.keys())
            if _kind_and_options(before.get(name)) != _kind_and_options(after.get(name))
        ]
        return sections + upstreams


@asynccontextmanager
async def following(source: Source | None, reload: Reload) -> AsyncIterator[None]:
    """Reload whenever SIGHUP comes or a file of the configuration changes, until the context ends."""
    if source is None:
        yield
        return
    follower = _Follower(source, reload)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, follower.ask)
    task = loop.create_task(follower.run())
    task.add_done_callback(_report_crash)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class _Follower:
    """Waits for news of the configuration, and takes them over."""

    def __init__(self, source: Source, reload: Reload) -> None:
        self._load = source.load
        self._files = source.files
        self._reload = reload
        self._asked = asyncio.Event()
        self._taken = _stamp(source.files)

    def ask(self) -> None:
        """Reload soon, changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Follow for ever."""
        while True:
            await self._wait_for_news()
            await self._take_over()

    async def _wait_for_news(self) -> None:
        before = self._taken
        while not self._asked.is_set():
            now = await asyncio.to_thread(_stamp, self._files)
            if now == before != self._taken:
                break
            before = now
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), _LOOK_SECONDS)
        self._asked.clear()

    async def _take_over(self) -> None:
        self._taken = await asyncio.to_thread(_stamp, self._files)
        try:
            configuration = await asyncio.to_thread(self._load)
            waiting = self._reload.apply(configuration.settings)
        except ConfigError as error:
            self._reload.note(successful=False)
            get_logger().error("config_reload_failed", error=str(error))
            return
        if configuration.files != self._files:
            self._files = configuration.files
            self._taken = await asyncio.to_thread(_stamp, self._files)
        self._reload.note(successful=True)
        get_logger().info("config_reloaded", restart_needed=list(waiting))


def _report_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        get_logger().error("config_no_longer_followed", exc_info=error)


def _stamp(files: Sequence[Path]) -> _Stamp:
    """Return what tells a changed file from the one before: a rename counts, too."""
    return tuple(map(_stamp_one, files))


def _stamp_one(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def _kind_and_options(upstream: UpstreamSettings | None) -> object:
    return upstream and (upstream.kind, upstream.options)
