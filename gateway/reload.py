"""Taking a changed configuration over while the gateway serves, on SIGHUP or when a file changes.

What cannot be changed without a restart is named in the log and in the status. A configuration that cannot
be used changes nothing.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from gateway.config import ConfigError, Configuration, Settings
from gateway.plugin_api.registry import PluginError
from gateway.telemetry.logging import get_logger
from gateway.telemetry.metrics import Metrics

__all__ = ["Reload", "Source", "following"]

_LOOK_SECONDS: Final = 0.25
"""How often files are looked at. A change is taken when it has held still for one look."""
_FIXED: Final[Mapping[str, Sequence[str]]] = {
    "server": ("host", "port", "workers", "drain_seconds"),
    "state": ("url",),
    "media": ("store",),
    "metrics": ("port",),
    "plugins": ("load",),
    "log": ("level", "format"),
}
"""What only a restart changes: sockets, stores and what is set up once for the whole process."""

Load = Callable[[Settings, Sequence[str]], Awaitable[None]]

_Stamp = tuple[tuple[int, int, int] | None, ...]


class Source(msgspec.Struct, frozen=True):
    """Where the configuration comes from: how to read it again, and the files that it was read from."""

    load: Callable[[], Configuration]
    files: tuple[Path, ...]


class Reload:
    """Makes a running gateway serve by another configuration.

    Args:
        running: the settings that it serves by.
        load: makes it serve by others, or changes nothing; is told what waits for a restart.
        metrics: where the outcome is shown.
        sandbox: whether it serves from the embedded sandbox, which only a restart ends.
    """

    def __init__(self, running: Settings, load: Load, metrics: Metrics, *, sandbox: bool) -> None:
        self._running = running
        self._load = load
        self._outcome = metrics.config_reloaded
        self._sandbox = sandbox
        self._outcome.set(1)

    async def apply(self, settings: Settings) -> Sequence[str]:
        """Take everything over that can be; return the settings that wait for a restart.

        Raises:
            ConfigError, PluginError: nothing was changed.
        """
        if self._running.auth.keys and not settings.auth.keys:
            raise ConfigError("auth.keys is empty now: restart the gateway to serve without keys")
        if not settings.upstreams and not self._sandbox:
            raise ConfigError("upstreams is empty now: restart the gateway to serve from the sandbox")
        wanted, waiting = self._keep_fixed(settings)
        await self._load(wanted, waiting)
        self._running = wanted
        return waiting

    def note(self, *, successful: bool) -> None:
        """Tell the metrics how the last reload went."""
        self._outcome.set(successful)

    def _keep_fixed(self, settings: Settings) -> tuple[Settings, Sequence[str]]:
        """Return the settings with what cannot change as it is, and the names of what would have changed."""
        waiting = []
        for section, names in _FIXED.items():
            mine, theirs = getattr(self._running, section), getattr(settings, section)
            kept = {name: getattr(mine, name) for name in names}
            waiting += [f"{section}.{name}" for name in names if getattr(theirs, name) != kept[name]]
            settings = replace(settings, **{section: replace(theirs, **kept)})
        if self._sandbox:
            waiting += ["upstreams"] if settings.upstreams else []
            settings = replace(settings, upstreams=self._running.upstreams, routes={})
        return settings, waiting


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
            waiting = await self._reload.apply(configuration.settings)
        except (ConfigError, PluginError) as error:
            self._reload.note(successful=False)
            get_logger().error("config_reload_failed", error=str(error))
            return
        if configuration.files != self._files:
            self._files = configuration.files
            self._taken = await asyncio.to_thread(_stamp, self._files)
        self._reload.note(successful=True)
        get_logger().info("config_reloaded")
        if waiting:
            get_logger().warning("config_needs_restart", settings=list(waiting))


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
