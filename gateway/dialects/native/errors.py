"""The native API's error bodies: ``error`` is a text, three of them word for word as documented."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.generation.errors import GatewayError

__all__ = ["NativeError", "encode_error"]


class NativeError(msgspec.Struct, frozen=True, kw_only=True):
    """What went wrong: `error` for humans and old clients, `code` a stable word for programs."""

    error: str
    status: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    detail: str
    code: str
    param: str | UnsetType = UNSET
    request_id: str


_WORDS: Final = {
    "rate_limited": "RateLimited",
    "insufficient_quota": "RateLimited",
    "poll_timeout": "Task polling timeout exceeded",
    "task_id_missing": "Task ID not found in response",
}


def encode_error(error: GatewayError, request_id: str) -> bytes:
    """Write an error body."""
    return msgspec.json.encode(
        NativeError(
            error=_WORDS.get(error.code, error.message),
            status="timeout" if error.code == "poll_timeout" else UNSET,
            task_id=error.task_id or UNSET,
            detail=error.message,
            code=error.code,
            param=error.param or UNSET,
            request_id=request_id,
        )
    )
