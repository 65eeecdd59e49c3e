"""The settings in effect, one line each, with nothing in them that must not be seen."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from gateway.config import Configuration, KeyDigest, UpstreamSettings
from gateway.telemetry.redaction import Secret, redact

__all__ = ["ShownSetting", "list_settings"]

_MASK: Final = "***"
_USER_INFO: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_SECRET_NAME: Final = re.compile(r"(?i)secret|token|passw|api_?key|authorization|cookie|headers")
_INDEX: Final = re.compile(r"\[\d+\]")


class ShownSetting(msgspec.Struct, frozen=True):
    """A setting: its key, its value without secrets, and what gave it (a file, a variable or "default")."""

    key: str
    value: Any
    origin: str

    @property
    def line(self) -> str:
        """`key = value`, null for none."""
        return f"{self.key} = {msgspec.json.encode(self.value).decode()}"


def list_settings(configuration: Configuration) -> list[ShownSetting]:
    """Return every setting in effect."""
    settings = configuration.settings
    table = msgspec.to_builtins(settings, enc_hook=_mask_secret)
    table["upstreams"] = {name: _as_written(one) for name, one in settings.upstreams.items()}
    origins = {".".join(path): origin for path, origin in configuration.origins.items()}
    return [ShownSetting(key, value, _origin(key, origins)) for key, value in _flatten(table)]


def _as_written(upstream: UpstreamSettings) -> dict[str, Any]:
    """Return an upstream's table in the form of the file: options beside our own keys."""
    table = msgspec.to_builtins(upstream, enc_hook=_mask_secret)
    accounts = [one | one.pop("options") for one in table.pop("accounts")]
    options = table.pop("options")
    return {**table, **options, "accounts": accounts}


def _flatten(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key of every value; the items of a list of tables are numbered."""
    match value:
        case dict() if value:
            for name, item in value.items():
                yield from _flatten(item, f"{key}.{name}" if key else name)
        case [dict(), *_]:
            for number, item in enumerate(value):
                yield from _flatten(item, f"{key}[{number}]")
        case _:
            yield key, _masked(key, value)


def _masked(key: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_masked(key, item) for item in value]
    if not isinstance(value, str):
        return value
    # Options belong to plugins, which may keep a secret under any name: better one mask too many.
    if value and key.startswith("upstreams.") and _SECRET_NAME.search(key.split(".", 2)[-1]):
        return _MASK
    return _USER_INFO.sub(_MASK, redact(value))


def _mask_secret(value: Any) -> Any:
    if isinstance(value, Secret | KeyDigest):
        return _MASK if value else ""
    raise NotImplementedError(f"a setting of type {type(value).__name__}")


def _origin(key: str, origins: Mapping[str, str]) -> str:
    """Return who gave a key, or the list that it is in."""
    parts = _INDEX.sub("", key).split(".")
    for length in range(len(parts), 0, -1):
        if found := origins.get(".".join(parts[:length])):
            return found
    return "default"
