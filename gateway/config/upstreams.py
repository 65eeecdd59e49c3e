"""An upstream's table as it is written, sorted into what is ours and what is the plugin's."""

from pathlib import Path
from typing import Any

from gateway.config.errors import ConfigError

__all__ = ["secret_files", "shape_upstream"]

_UPSTREAM_KEYS = ("kind", "http_client")
_ACCOUNT_KEYS = ("id", "concurrency", "chat_types")
_SECRET_KEYS = ("token", "api_key")


def shape_upstream(name: str, raw: Any) -> dict[str, Any]:
    """Sort an upstream's table into what is ours and what is the plugin's."""
    if not isinstance(raw, dict):
        raise ConfigError(f"upstreams.{name} must be a table")
    own = {key: raw[key] for key in _UPSTREAM_KEYS if key in raw}
    options = {key: value for key, value in raw.items() if key not in (*_UPSTREAM_KEYS, "accounts")}
    accounts = raw.get("accounts", [{"id": "default"}])
    if not isinstance(accounts, list) or not all(isinstance(account, dict) for account in accounts):
        raise ConfigError(f"upstreams.{name}.accounts must be a list of tables")
    shaped = [
        _shape_account(f"upstreams.{name}.accounts[{at}]", account) for at, account in enumerate(accounts)
    ]
    return {**own, "accounts": shaped, "options": options}


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


def secret_files(raw: Any) -> list[Path]:
    """Return the files that hold the secrets of an upstream's accounts."""
    accounts = raw.get("accounts", ()) if isinstance(raw, dict) else ()
    return [
        Path(value)
        for account in accounts
        for key, value in account.items()
        if key.endswith("_file") and key.removesuffix("_file") in _SECRET_KEYS
    ]
