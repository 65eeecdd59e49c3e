"""Which plugins are installed, and the one door through which all of them come in, ours included.

Looking at the list imports nothing; a plugin is imported when it is first used.
"""

from collections import defaultdict
from collections.abc import Sequence
from difflib import get_close_matches
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from gateway.config import ConfigError, UpstreamSettings, explain, from_text
from gateway.dialects.base import Dialect
from gateway.generation.errors import InvalidRequest
from gateway.plugin_api.protocols import Generator, Upstream, UpstreamContext

__all__ = ["COMMANDS", "DIALECTS", "GENERATORS", "UPSTREAMS", "PluginError", "PluginInfo", "Registry"]

GENERATORS = "gateway.generators"
UPSTREAMS = "gateway.upstreams"
DIALECTS = "gateway.dialects"
COMMANDS = "gateway.commands"
_GROUPS = (GENERATORS, UPSTREAMS, DIALECTS, COMMANDS)


class PluginError(Exception):
    """A plugin cannot be used; the message names the distribution that ships it."""


class PluginInfo(msgspec.Struct, frozen=True, order=True):
    """An installed plugin: what it is called, who ships it, where it is ("module:object")."""

    group: str
    name: str
    distribution: str
    version: str
    target: str

    @property
    def origin(self) -> str:
        """The distribution and its version."""
        return f"{self.distribution} {self.version}"


class Registry:
    """The plugins of this installation, or those of them that `load` names.

    Raises:
        PluginError: two plugins of one group have the same name, or `load` names one that is not installed.
    """

    def __init__(self, load: Sequence[str] = ()) -> None:
        installed = [entry for group in _GROUPS for entry in entry_points(group=group)]
        self._entries = _unique([entry for entry in installed if not load or entry.name in load])
        self._objects: dict[tuple[str, str], Any] = {}
        self._generators: dict[str, Generator] = {}
        names = {entry.name for entry in installed}
        for name in load:
            if name not in names:
                raise PluginError(f"plugins.load names {name}, which is not installed{_hint(name, names)}")

    def plugins(self) -> tuple[PluginInfo, ...]:
        """Return what is installed and allowed, sorted; imports nothing."""
        return tuple(sorted(_describe(entry) for entry in self._entries.values()))

    def names(self, group: str) -> tuple[str, ...]:
        """Return the names of one group, sorted; imports nothing."""
        return tuple(sorted(name for known, name in self._entries if known == group))

    def generator(self, chat_type: str) -> Generator:
        """Return the generator of a chat type, made once. Raises `InvalidRequest` when there is none."""
        made = self._generators.get(chat_type)
        if made is None:
            made = self._generators[chat_type] = self._make_generator(chat_type)
        return made

    def dialects(self) -> tuple[Dialect, ...]:
        """Make every dialect, in the order of their names."""
        return tuple(self._load(DIALECTS, name)() for name in self.names(DIALECTS))

    def command(self, name: str) -> Any:
        """Return a click command."""
        return self._load(COMMANDS, name)

    def upstream_settings(self, kind: str) -> type[msgspec.Struct]:
        """Return what the options of an upstream of this kind are decoded into."""
        settings: type[msgspec.Struct] = self._load(UPSTREAMS, kind).Settings
        return settings

    async def create_upstream(self, settings: UpstreamSettings, context: UpstreamContext) -> Upstream:
        """Make the upstream that the table `upstreams.NAME` describes; `context.name` is NAME.

        Raises:
            ConfigError: the table's `kind` is not installed, or a key is unknown, ill-typed or missing.
            PluginError: the plugin is broken.
        """
        path = f"upstreams.{context.name}"
        if (UPSTREAMS, settings.kind) not in self._entries:
            known = self.names(UPSTREAMS)
            raise ConfigError(
                f"{path}.kind: no plugin is called {settings.kind}{_hint(settings.kind, known)}"
            )
        plugin = self._load(UPSTREAMS, settings.kind)
        try:
            decoded = msgspec.convert(dict(settings.options), plugin.Settings, dec_hook=from_text)
        except msgspec.ValidationError as error:
            raise ConfigError(explain(error, plugin.Settings, path)) from error
        try:
            upstream: Upstream = await plugin.create(decoded, context)
        except Exception as error:  # opening runs strangers' code, which may raise anything
            origin = _describe(self._entries[UPSTREAMS, settings.kind]).origin
            raise PluginError(
                f"{path}, of kind {settings.kind} from {origin}, cannot be opened: {_reason(error)}"
            ) from error
        return upstream

    def _make_generator(self, chat_type: str) -> Generator:
        if (GENERATORS, chat_type) not in self._entries:
            known = ", ".join(self.names(GENERATORS))
            raise InvalidRequest(
                f"The chat type {chat_type} is not installed; there are: {known}.", param="chat_type"
            )
        generator: Generator = self._load(GENERATORS, chat_type)()
        return generator

    def _load(self, group: str, name: str) -> Any:
        key = (group, name)
        if key not in self._objects:
            self._objects[key] = _import(self._entries[key])
        return self._objects[key]


def _unique(entries: list[EntryPoint]) -> dict[tuple[str, str], EntryPoint]:
    shipped = defaultdict(list)
    for entry in entries:
        shipped[entry.group, entry.name].append(entry)
    for (group, name), rivals in shipped.items():
        if len(rivals) > 1:
            owners = " and ".join(sorted(_describe(rival).origin for rival in rivals))
            raise PluginError(f"{name} in {group} is shipped twice, by {owners}: uninstall one of them")
    return {key: rivals[0] for key, rivals in shipped.items()}


def _import(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except Exception as error:  # an import runs strangers' code, which may raise anything
        raise PluginError(
            f"{entry.name} in {entry.group}, shipped by {_describe(entry).origin}, cannot be imported: "
            f"{_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


@cache
def _describe(entry: EntryPoint) -> PluginInfo:
    distribution = entry.dist
    assert distribution is not None, "entry_points() always says whose an entry is"
    return PluginInfo(entry.group, entry.name, distribution.name, distribution.version, entry.value)


def _hint(name: str, known: Sequence[str] | set[str]) -> str:
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(sorted(known))}"
