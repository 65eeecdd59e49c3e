"""An account at a provider, as the operator declared it."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gateway.telemetry.redaction import Secret

__all__ = ["Account"]


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
