"""Every setting: type, default, meaning. The JSON Schema and `gateway config init` are made from it."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from gateway.config.digests import KeyDigest
from gateway.telemetry.redaction import Secret

__all__ = [
    "AccountSettings",
    "AuthSettings",
    "DeadlineSettings",
    "FileSettings",
    "HttpClient",
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
]


HttpClient = Annotated[
    Literal["own", "httpx-aiohttp"],
    Meta(description="Who makes the calls: the gateway itself, or an extra for servers that it fails with."),
]


class _Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A configuration table: unknown keys are errors."""


class ServerSettings(_Table, frozen=True):
    """Where and how the gateway listens."""

    host: Annotated[str, Meta(description="Both loopbacks; any other address needs client keys.")] = (
        "localhost"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="0 takes a free one.")] = 3264
    public_url: Annotated[
        str,
        Meta(description="Our address as clients know it, for links to media; else the Host header."),
    ] = ""
    workers: Annotated[int, Meta(description="Always 1: to use more cores, run more replicas.")] = 1
    max_body_mb: Annotated[int, Meta(ge=1, description="Largest JSON body, in 2**20 bytes.")] = 64
    drain_seconds: Annotated[
        float, Meta(ge=0, description="How long open streams may go on after SIGTERM.")
    ] = 240.0
    on_disconnect: Annotated[
        Literal["cancel", "drain"],
        Meta(description="When a client leaves: stop the provider, or read its answer to the end."),
    ] = "cancel"
    cors_origins: Annotated[
        tuple[str, ...], Meta(description='Web origins that may call; ["*"] is all.')
    ] = ()


class KeySettings(_Table, frozen=True):
    """One client key. Exactly one of `key`, `key_file` and `key_sha256` is set."""

    name: Annotated[str, Meta(description="Owns everything that is made with the key.")]
    key: Annotated[KeyDigest | None, Meta(description="The key itself.")] = None
    key_file: Annotated[str, Meta(description="A file that holds the key.")] = ""
    key_sha256: Annotated[str, Meta(description="The key's SHA-256, in hexadecimal.")] = ""
    rpm: Annotated[int | None, Meta(description="Requests a minute.")] = None
    concurrency: Annotated[int | None, Meta(description="Requests at once.")] = None
    chat_types: Annotated[tuple[str, ...] | None, Meta(description="All, when not given.")] = None
    models: Annotated[tuple[str, ...], Meta(description='Model ids; ["*"] is all.')] = ("*",)
    admin: Annotated[bool, Meta(description="Sees all of /api/status and may use /api/admin.")] = False
    webhook_url: Annotated[str, Meta(description="Where finished tasks are reported.")] = ""
    webhook_secret: Annotated[Secret, Meta(description="Signs those reports.")] = msgspec.field(
        default_factory=Secret
    )


class AuthSettings(_Table, frozen=True):
    """Who may call."""

    allow_anonymous: Annotated[
        bool, Meta(description="With keys configured: whether a call without one is served too.")
    ] = False
    keys: Annotated[
        tuple[KeySettings, ...],
        Meta(description="Without any, everybody is `anonymous`, on loopback addresses only."),
    ] = ()


class StateSettings(_Table, frozen=True):
    """Where records are kept."""

    url: Annotated[str, Meta(description="sqlite:///path, valkey://host:port/db or memory://.")] = (
        "sqlite:///./gateway.db"
    )


class AccountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One account of an upstream; keys that are not named here are the plugin's own options."""

    id: str
    secret: Secret = msgspec.field(default_factory=Secret)
    concurrency: int | None = None
    chat_types: tuple[str, ...] | None = None
    options: Mapping[str, Any] = {}


class UpstreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream; `options` is decoded by the plugin that `kind` names."""

    kind: str
    http_client: HttpClient = "own"
    accounts: tuple[AccountSettings, ...] = ()
    options: Mapping[str, Any] = {}


class ModelSettings(_Table, frozen=True):
    """The model when none is named, and other names for models."""

    default: Annotated[str, Meta(description="When a request names none.")] = "qwen-max-latest"
    aliases: Annotated[Mapping[str, str], Meta(description='"gpt-4o" = "qwen3-max"')] = {}


class TaskSettings(_Table, frozen=True):
    """How tasks are polled and kept."""

    poll_interval_seconds: Annotated[
        float, Meta(gt=0, description="A task is never asked for more often.")
    ] = 2.0
    poll_attempts: Annotated[
        int,
        Meta(ge=1, description="Times the interval: how long a caller waits; the task goes on."),
    ] = 90
    polls_per_second: Annotated[float, Meta(gt=0, description="For each account.")] = 20.0
    max_age_hours: Annotated[
        float, Meta(gt=0, description="A task that has not ended by then is expired.")
    ] = 24.0
    ttl_hours: Annotated[float, Meta(gt=0, description="How long a finished task can be read.")] = 168.0


class MediaSettings(_Table, frozen=True):
    """Where generated media and uploads are kept, and from which hosts media may be fetched."""

    store: Annotated[
        str, Meta(description="file://folder, or s3://bucket/prefix with credentials from the environment.")
    ] = "file://./gateway-media"
    keep: Annotated[
        Literal["local", "all"], Meta(description="Archive what has no public address, or everything.")
    ] = "local"
    allowed_hosts: Annotated[
        tuple[str, ...], Meta(description="Hosts that generated media may be fetched from.")
    ] = ("*.qwenlm.ai", "*.aliyuncs.com")
    max_mb: Annotated[int, Meta(ge=1, description="Largest medium.")] = 512


class FileSettings(_Table, frozen=True):
    """Uploads by clients."""

    max_mb: Annotated[int, Meta(ge=1, description="Largest upload.")] = 25


class DeadlineSettings(_Table, frozen=True):
    """How long a provider may be silent, in seconds."""

    connect: Annotated[float, Meta(gt=0, description="To reach a provider.")] = 5.0
    first_event: Annotated[float, Meta(gt=0, description="Until a provider begins to answer.")] = 60.0
    first_media: Annotated[float, Meta(gt=0, description="The same for pictures.")] = 120.0
    between_events: Annotated[float, Meta(gt=0, description="Of silence in an answer.")] = 30.0
    total: Annotated[float, Meta(gt=0, description="For a whole answer.")] = 600.0
    queue: Annotated[float, Meta(ge=0, description="For an account to become free.")] = 10.0


class MetricsSettings(_Table, frozen=True):
    """Where /metrics is served."""

    port: Annotated[int, Meta(ge=0, le=65535, description="A port of its own; 0 is the main port.")] = 0


class PluginSettings(_Table, frozen=True):
    """Which plugins are used."""

    load: Annotated[tuple[str, ...], Meta(description="Only these; empty is all.")] = ()


class LogSettings(_Table, frozen=True):
    """What is logged, and how."""

    level: Annotated[
        Literal["debug", "info", "warning", "error"], Meta(description="The least that is logged.")
    ] = "info"
    format: Annotated[
        Literal["auto", "json", "console"],
        Meta(description="auto: console on a terminal, else JSON."),
    ] = "auto"


class Settings(_Table, frozen=True):
    """The whole configuration."""

    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    state: StateSettings = StateSettings()
    upstreams: Annotated[
        Mapping[str, UpstreamSettings],
        Meta(description="The providers, by a name of your choice; without any the sandbox serves."),
    ] = {}
    routes: Annotated[
        Mapping[str, tuple[str | tuple[str, ...], ...]],
        Meta(description="Upstreams for each chat type, in order of preference; an inner list holds equals."),
    ] = {}
    models: ModelSettings = ModelSettings()
    tasks: TaskSettings = TaskSettings()
    media: MediaSettings = MediaSettings()
    files: FileSettings = FileSettings()
    deadlines: DeadlineSettings = DeadlineSettings()
    metrics: MetricsSettings = MetricsSettings()
    plugins: PluginSettings = PluginSettings()
    log: LogSettings = LogSettings()
