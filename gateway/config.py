"""The configuration: frozen values decoded from TOML, the environment and secret files."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from gateway.telemetry.redaction import Secret

__all__ = [
    "AccountSettings",
    "AuthSettings",
    "ConfigError",
    "DeadlineSettings",
    "FileSettings",
    "KeySettings",
    "LogSettings",
    "MediaSettings",
    "MetricsSettings",
    "ModelSettings",
    "PluginSettings",
    "ServerSettings",
    "Settings",
    "StateSettings",
    "TaskSettings",
    "UpstreamSettings",
    "load_settings",
]


class ConfigError(Exception):
    """The configuration cannot be used; the message names the key and what to do."""


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration table: unknown keys are errors."""


class ServerSettings(_Table, frozen=True):
    """Where and how the gateway listens. Sizes in MB (2**20 bytes), times in seconds."""

    host: str = "localhost"
    port: int = 3264
    public_url: str = ""
    workers: int = 1
    max_body_mb: int = 64
    drain_seconds: float = 240.0
    on_disconnect: Literal["cancel", "drain"] = "cancel"
    cors_origins: tuple[str, ...] = ()


class KeySettings(_Table, frozen=True):
    """One client key. Exactly one of `key`, `key_file` and `key_sha256` is set."""

    name: str
    key: Secret | None = None
    key_file: str = ""
    key_sha256: str = ""
    rpm: int | None = None
    concurrency: int | None = None
    chat_types: tuple[str, ...] | None = None
    models: tuple[str, ...] = ("*",)
    admin: bool = False
    webhook_url: str = ""
    webhook_secret: Secret = Secret()


class AuthSettings(_Table, frozen=True):
    """Who may call."""

    allow_anonymous: bool = False
    keys: tuple[KeySettings, ...] = ()


class StateSettings(_Table, frozen=True):
    """Where records are kept: sqlite:///path, valkey://host:port/db or memory://."""

    url: str = "sqlite:///./gateway.db"


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One account of an upstream; keys that are not named here are the plugin's own options."""

    id: str
    secret: Secret = Secret()
    concurrency: int | None = None
    chat_types: tuple[str, ...] | None = None
    options: Mapping[str, Any] = {}


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream; `options` is decoded by the plugin that `kind` names."""

    kind: str
    accounts: tuple[AccountSettings, ...] = ()
    options: Mapping[str, Any] = {}


class ModelSettings(_Table, frozen=True):
    """The model when none is named, and other names for models."""

    default: str = "qwen-max-latest"
    aliases: Mapping[str, str] = {}


class TaskSettings(_Table, frozen=True):
    """How tasks are polled and kept."""

    poll_interval_seconds: float = 2.0
    poll_attempts: int = 90
    polls_per_second: float = 20.0
    max_age_hours: float = 24.0
    ttl_hours: float = 168.0


class MediaSettings(_Table, frozen=True):
    """Where generated media and uploads are kept, and from which hosts media may be fetched."""

    store: str = "file://./gateway-media"
    keep: Literal["local", "all"] = "local"
    allowed_hosts: tuple[str, ...] = ("*.qwenlm.ai", "*.aliyuncs.com")
    max_mb: int = 512


class FileSettings(_Table, frozen=True):
    """Uploads by clients."""

    max_mb: int = 25


class DeadlineSettings(_Table, frozen=True):
    """How long a provider may be silent, in seconds."""

    connect: float = 5.0
    first_event: float = 60.0
    first_media: float = 120.0
    between_events: float = 30.0
    total: float = 600.0
    queue: float = 10.0


class MetricsSettings(_Table, frozen=True):
    """Where /metrics is served: 0 is the main port."""

    port: int = 0


class PluginSettings(_Table, frozen=True):
    """Which plugins to load by name; empty is all."""

    load: tuple[str, ...] = ()


class LogSettings(_Table, frozen=True):
    """What is logged, and how: "auto" is console on a terminal, else JSON."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(_Table, frozen=True):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    state: StateSettings = StateSettings()
    upstreams: Mapping[str, UpstreamSettings] = {}
    routes: Mapping[str, tuple[str | tuple[str, ...], ...]] = {}
    models: ModelSettings = ModelSettings()
    tasks: TaskSettings = TaskSettings()
    media: MediaSettings = MediaSettings()
    files: FileSettings = FileSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    metrics: MetricsSettings = MetricsSettings()
    plugins: PluginSettings = PluginSettings()
    log: LogSettings = LogSettings()


def load_settings(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration: the file, then `GATEWAY_SECTION__KEY` variables over it.

    Without `path`: `GATEWAY_CONFIG`, then `./gateway.toml` if it exists, else the defaults.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds an unknown or ill-typed key.
    """
    raise NotImplementedError(path, environ)
