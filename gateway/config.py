"""The configuration: frozen values decoded from TOML, the environment and secret files."""

import os
import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from ipaddress import ip_address
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
    "explain",
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
    webhook_secret: Secret = msgspec.field(default_factory=Secret)


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
    secret: Secret = msgspec.field(default_factory=Secret)
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
    table = _read_file(_find_file(path, environ))
    _overlay_environment(table, environ)
    table = _resolve_references(table, environ)
    table["upstreams"] = {
        name: _shape_upstream(name, raw) for name, raw in table.get("upstreams", {}).items()
    }
    return _check(_convert(table))


def _find_file(path: str | Path | None, environ: Mapping[str, str]) -> Path | None:
    named = path or environ.get("GATEWAY_CONFIG")
    if named:
        return Path(named)
    default = Path("gateway.toml")
    return default if default.exists() else None


def _read_file(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from error


_RESERVED_VARIABLES = {"GATEWAY_CONFIG"}


def _overlay_environment(table: dict[str, Any], environ: Mapping[str, str]) -> None:
    """Lay `GATEWAY_SERVER__PORT=8080` over `[server] port`; values are TOML, or else text."""
    for name, text in environ.items():
        if name.startswith("GATEWAY_") and "__" in name and name not in _RESERVED_VARIABLES:
            *sections, key = name.removeprefix("GATEWAY_").lower().split("__")
            place = table
            for section in sections:
                place = place.setdefault(section, {})
                if not isinstance(place, dict):
                    raise ConfigError(f"{name}: {section} is not a table")
            place[key] = _toml_value(text)


def _toml_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


_ENVIRONMENT_REFERENCE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def _resolve_references(value: Any, environ: Mapping[str, str]) -> Any:
    """Replace `${env:NAME}` in every text, at any depth."""

    def look_up(match: re.Match[str]) -> str:
        try:
            return environ[match[1]]
        except KeyError:
            raise ConfigError(f"the configuration names ${{env:{match[1]}}}, which is not set") from None

    match value:
        case str():
            return _ENVIRONMENT_REFERENCE.sub(look_up, value)
        case dict():
            return {key: _resolve_references(item, environ) for key, item in value.items()}
        case list():
            return [_resolve_references(item, environ) for item in value]
    return value


_ACCOUNT_KEYS = ("id", "concurrency", "chat_types")
_SECRET_KEYS = ("token", "api_key")


def _shape_upstream(name: str, raw: Any) -> dict[str, Any]:
    """Sort an upstream's table into what is ours and what is the plugin's."""
    if not isinstance(raw, dict):
        raise ConfigError(f"upstreams.{name} must be a table")
    options = {key: value for key, value in raw.items() if key not in ("kind", "accounts")}
    accounts = raw.get("accounts", [{"id": "default"}])
    if not isinstance(accounts, list) or not all(isinstance(account, dict) for account in accounts):
        raise ConfigError(f"upstreams.{name}.accounts must be a list of tables")
    shaped = [
        _shape_account(f"upstreams.{name}.accounts[{at}]", account) for at, account in enumerate(accounts)
    ]
    kind = {"kind": raw["kind"]} if "kind" in raw else {}
    return {**kind, "accounts": shaped, "options": options}


def _shape_account(place: str, raw: dict[str, Any]) -> dict[str, Any]:
    secrets = [key for key in raw if key.removesuffix("_file") in _SECRET_KEYS]
    if len(secrets) > 1:
        raise ConfigError(f"{place} names its secret twice: {' and '.join(secrets)}")
    own = {key: raw[key] for key in _ACCOUNT_KEYS if key in raw}
    options = {key: value for key, value in raw.items() if key not in _ACCOUNT_KEYS and key not in secrets}
    if secrets:
        own["secret"] = _read_secret(place, secrets[0], raw[secrets[0]])
    return {**own, "options": options}


def _read_secret(place: str, key: str, value: Any) -> Any:
    if not key.endswith("_file"):
        return value
    try:
        return Path(value).read_text("utf-8").strip()
    except (OSError, TypeError) as error:
        raise ConfigError(f"{place}.{key}: cannot read the file: {error}") from error


def _convert(table: dict[str, Any]) -> Settings:
    try:
        return msgspec.convert(table, Settings, dec_hook=_decode_secret)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(error, Settings)) from error


def _decode_secret(kind: type, value: Any) -> Any:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


_PLACE = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")


def explain(error: msgspec.ValidationError, settings: type[msgspec.Struct], prefix: str = "") -> str:
    """Say a validation error with the key's full path and, for an unknown key, the nearest known one."""
    found = _PLACE.match(str(error))
    what, path = (found["what"], found["path"] or "") if found else (str(error), "")
    unknown = _UNKNOWN.search(what)
    if not unknown:
        return f"{_join(prefix, path)}: {what}"
    near = get_close_matches(unknown["name"], _known_keys(settings, path), n=1)
    hint = f"; did you mean {_join(prefix, path, near[0])}?" if near else ""
    return f"unknown key {_join(prefix, path, unknown['name'])}{hint}"


def _join(*parts: str) -> str:
    return ".".join(part for part in parts if part) or "the configuration"


def _known_keys(settings: Any, path: str) -> list[str]:
    """Return the keys of the table at `path`, found by walking the types."""
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        settings = _step(settings, step)
    known = msgspec.inspect.type_info(settings)
    return (
        [field.encode_name for field in known.fields] if isinstance(known, msgspec.inspect.StructType) else []
    )


def _step(settings: Any, step: str) -> Any:
    if step.startswith("["):
        return next((arg for arg in getattr(settings, "__args__", ()) if arg is not ...), Any)
    fields = {field.name: field.type for field in msgspec.structs.fields(settings)}
    return fields.get(step, Any)


_ONE_WORKER = (
    "server.workers must be 1: one process serves, so that its metrics and its drain are whole; "
    "to use more cores run more replicas that share one state.url = valkey://…"
)
_KEYS_NEEDED = (
    'server.host is reachable from outside and no keys are configured: add [[auth.keys]] ("gateway keys '
    'create" makes one), or listen on localhost'
)
_Rule = tuple[Callable[[Settings], bool], str]
_RULES: tuple[_Rule, ...] = (
    (lambda s: 0 <= s.server.port <= 65535, "server.port must be 0 to 65535"),
    (lambda s: s.server.workers == 1, _ONE_WORKER),
    (lambda s: bool(s.auth.keys) or _is_loopback(s.server.host), _KEYS_NEEDED),
    (lambda s: s.server.max_body_mb >= 1, "server.max_body_mb must be at least 1"),
    (lambda s: s.tasks.poll_interval_seconds > 0, "tasks.poll_interval_seconds must be above 0"),
    (lambda s: s.tasks.poll_attempts >= 1, "tasks.poll_attempts must be at least 1"),
    (lambda s: s.tasks.polls_per_second > 0, "tasks.polls_per_second must be above 0"),
    (
        lambda s: not _repeated(key.name for key in s.auth.keys),
        "auth.keys: every key needs a name of its own",
    ),
)


def _check(settings: Settings) -> Settings:
    for holds, sentence in _RULES:
        if not holds(settings):
            raise ConfigError(sentence)
    for name, upstream in settings.upstreams.items():
        if _repeated(account.id for account in upstream.accounts):
            raise ConfigError(f"upstreams.{name}.accounts: every account needs an id of its own")
    _check_keys(settings.auth.keys)
    _check_routes(settings)
    return settings


def _check_keys(keys: tuple[KeySettings, ...]) -> None:
    for at, key in enumerate(keys):
        forms = [bool(key.key), bool(key.key_file), bool(key.key_sha256)]
        if sum(forms) != 1:
            raise ConfigError(f"auth.keys[{at}] needs exactly one of key, key_file and key_sha256")


def _check_routes(settings: Settings) -> None:
    for chat_type, tiers in settings.routes.items():
        names = {name for tier in tiers for name in ((tier,) if isinstance(tier, str) else tier)}
        for name in sorted(names - settings.upstreams.keys()):
            near = get_close_matches(name, settings.upstreams, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"routes.{chat_type} names {name}, which is not under [upstreams]{hint}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _repeated(names: Iterable[str]) -> bool:
    seen = list(names)
    return len(seen) != len(set(seen))
