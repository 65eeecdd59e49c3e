"""OpenAI's error object: its four keys always, and the task where there is one."""

from typing import Final

import msgspec

from gateway.generation.errors import GatewayError

__all__ = ["OpenAIError", "OpenAIErrorBody", "encode_error"]


class OpenAIError(msgspec.Struct, frozen=True):
    """What went wrong. `param` is the request field at fault, `code` a stable word for programs.

    `task_id`, where it is there, names the task to look at instead of creating another one.
    """

    message: str
    type: str
    param: str | None = None
    code: str | None = None
    task_id: str | msgspec.UnsetType = msgspec.UNSET


class OpenAIErrorBody(msgspec.Struct, frozen=True):
    """The body of every answer that is not a success."""

    error: OpenAIError


_TYPES: Final = {403: "permission_error", 429: "rate_limit_error"}
_CODES: Final = {
    "unauthorized": "invalid_api_key",
    "rate_limited": "rate_limit_exceeded",
    "content_filter": "content_policy_violation",
}


def encode_error(error: GatewayError) -> bytes:
    """Write an error body in OpenAI's words; the types and codes are those that its SDKs look at."""
    param = error.param or ("model" if error.code == "model_not_found" else None)
    kind, code = _type(error.status, error.code), _code(error.code, param)
    body = OpenAIError(error.message, kind, param, code, error.task_id or msgspec.UNSET)
    return msgspec.json.encode(OpenAIErrorBody(body))


def _type(status: int, code: str) -> str:
    if code == "insufficient_quota":
        return code
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


def _code(code: str, param: str | None) -> str | None:
    if code == "invalid_request":
        return "invalid_value" if param else None
    return _CODES.get(code, code)
