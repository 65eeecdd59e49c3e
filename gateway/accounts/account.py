"""An account at a provider, as the operator declared it."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from gateway.config import AccountSettings
from gateway.telemetry.redaction import Secret

__all__ = ["Account", "configured_accounts"]


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account at a provider: the unit that limits are counted on.

    `id` is the operator's alias, unique within the upstream. `options` are the plugin's own keys.
    """

    upstream: str
    id: str
    secret: Secret = Secret()
    concurrency: int | None = None
    chat_types: tuple[str, ...] | None = None
    options: Mapping[str, Any] = {}


def configured_accounts(upstream: str, settings: Iterable[AccountSettings]) -> list[Account]:
    """Return an upstream's accounts; without any it has one without a secret."""
    accounts = [
        Account(
            upstream=upstream,
            id=given.id,
            secret=given.secret,
            concurrency=given.concurrency,
            chat_types=given.chat_types,
            options=given.options,
        )
        for given in settings
    ]
    return accounts or [Account(upstream=upstream, id="default")]
