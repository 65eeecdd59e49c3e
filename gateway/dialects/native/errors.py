"""The native API's error bodies: ``error`` is a text, three of them word for word as documented."""

from typing import Final

import msgspec
from msgspec import UNSET, UnsetType

from gateway.generation.errors import GatewayError
from gateway.generation.events import Failure

__all__ = ["NativeError", "encode_error", "encode_failure"]


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
    return _encode(error.code, error.message, request_id, error.task_id, error.param)


def encode_failure(failure: Failure, request_id: str) -> bytes:
    """Write the body of an error that ends a stream."""
    return _encode(failure.code, failure.message, request_id)


def _encode(
    code: str, message: str, request_id: str, task_id: str | None = None, param: str | None = None
) -> bytes:
    return msgspec.json.encode(
        NativeError(
            error=_WORDS.get(code, message),
            status="timeout" if code == "poll_timeout" else UNSET,
            task_id=task_id or UNSET,
            detail=message,
            code=code,
            param=param or UNSET,
            request_id=request_id,
        )
    )
