"""Reading the configuration: the file, the environment over it, and the secrets that they name."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from gateway.config.checks import check
from gateway.config.digests import KeyDigest
from gateway.config.errors import ConfigError, explain
from gateway.config.settings import Settings
from gateway.config.upstreams import secret_files, shape_upstream
from gateway.telemetry.redaction import Secret

__all__ = ["Configuration", "KeyPath", "from_text", "load_configuration", "load_settings"]

KeyPath = tuple[str, ...]
"""Where a setting is: ("server", "port")."""


class Configuration(msgspec.Struct, frozen=True):
    """Settings, and where they came from.

    `origins` says for each key that was given which file or variable gave it; `files` are those that were
    read, the secrets' too.
    """

    settings: Settings
    origins: Mapping[KeyPath, str]
    files: tuple[Path, ...]


def load_settings(path: str | Path | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings alone; as `load_configuration`."""
    return load_configuration(path, environ).settings


def load_configuration(
    path: str | Path | None = None, environ: Mapping[str, str] = os.environ
) -> Configuration:
    """Read the configuration: the file, then `GATEWAY_SECTION__KEY` variables over it.

    Without `path`: `GATEWAY_CONFIG`, then `./gateway.toml` if it exists, else the defaults.

    Raises:
        ConfigError: the file is missing, is not TOML, or holds an unknown or ill-typed key.
    """
    file = _find_file(path, environ)
    table = _read_file(file)
    origins = dict.fromkeys(_leaves(table), str(file))
    for variable, place, value in _read_environment(environ):
        _overlay(table, place, value, variable)
        origins[place] = variable
    table = _resolve_references(table, environ)
    upstreams = table.get("upstreams", {})
    if not isinstance(upstreams, dict):
        raise ConfigError("upstreams must be a table")
    table["upstreams"] = {name: shape_upstream(name, raw) for name, raw in upstreams.items()}
    settings = check(_convert(table))
    files = [file] if file else []
    files += [secret for raw in upstreams.values() for secret in secret_files(raw)]
    files += [Path(key.key_file) for key in settings.auth.keys if key.key_file]
    return Configuration(settings, origins, tuple(files))


def _leaves(table: Mapping[str, Any], prefix: KeyPath = ()) -> Iterator[KeyPath]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*prefix, key))
        else:
            yield (*prefix, key)


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


def _read_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, KeyPath, Any]]:
    """Yield variable, path and value for each `GATEWAY_SERVER__PORT=8080`; values are TOML, or else text."""
    for name, text in environ.items():
        if name.startswith("GATEWAY_") and "__" in name:
            yield name, tuple(name.removeprefix("GATEWAY_").lower().split("__")), _toml_value(text)


def _overlay(table: dict[str, Any], path: KeyPath, value: Any, variable: str) -> None:
    """Lay a value over what the file says at `path`."""
    *sections, key = path
    for section in sections:
        table = table.setdefault(section, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{variable}: {section} is not a table")
    table[key] = value


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


def _convert(table: dict[str, Any]) -> Settings:
    try:
        return msgspec.convert(table, Settings, dec_hook=from_text)
    except msgspec.ValidationError as error:
        raise ConfigError(explain(error, Settings)) from error


def from_text(kind: type, value: Any) -> Any:
    """Make a secret, a digest or a path of its text; `msgspec.convert` asks for what it does not know."""
    if kind in (Secret, KeyDigest, Path) and isinstance(value, str):
        return kind(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
