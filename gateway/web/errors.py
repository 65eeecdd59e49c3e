"""Errors as answers, in the shape of the API that was called."""

from collections.abc import Mapping
from math import ceil
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.types import Send

from gateway.dialects.base import Dialect
from gateway.generation.errors import (
    Forbidden,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    NotFound,
    RangeNotSatisfiable,
    RequestError,
    TooLarge,
    Unauthorized,
    UnsupportedMediaType,
)
from gateway.telemetry.logging import get_logger
from gateway.telemetry.observation import Observation
from gateway.web.answers import JSON, Headers, send_body

__all__ = ["ErrorPages", "error_headers", "send_error"]


async def send_error(
    send: Send, error: GatewayError, dialect: Dialect, observed: Observation, headers: Headers = ()
) -> None:
    """Answer with an error; once an answer has begun it can only be cut, which the server does."""
    observed.error_code = error.code
    if error.task_id:
        observed.task_id = error.task_id
    if not observed.status:
        body = dialect.encode_error(error, observed.request_id)
        await send_body(send, error.status, body, [*JSON, *error_headers(error), *headers])


def error_headers(error: GatewayError) -> list[tuple[bytes, bytes]]:
    """Return the headers that tell a client whether and when to try again."""
    headers: list[tuple[bytes, bytes]] = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, ceil(error.retry_after))))
    if error.client_may_retry is not None:
        headers.append((b"x-should-retry", b"true" if error.client_may_retry else b"false"))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if isinstance(error, RangeNotSatisfiable) and error.size is not None:
        headers.append((b"content-range", b"bytes */%d" % error.size))
    return headers


_REQUEST_ERRORS: Mapping[int, type[RequestError]] = {
    error.status: error
    for error in (Unauthorized, Forbidden, MethodNotAllowed, TooLarge, UnsupportedMediaType)
}
"""What Litestar's own refusals are called here."""


class ErrorPages:
    """Litestar's exception handler: unknown paths and whatever its own routes raise."""

    def __init__(self, dialects: Mapping[str, Dialect], fallback: Dialect) -> None:
        self._dialects = dialects
        self._fallback = fallback

    def __call__(self, request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
        """Answer in the shape of the API that the path belongs to."""
        observed: Observation | None = request.scope.get("gateway.observed")  # type: ignore[assignment]
        found = _as_gateway_error(error)
        if observed is not None:
            observed.error_code = found.code
        body = self._dialect(request.scope["path"]).encode_error(
            found, observed.request_id if observed else ""
        )
        headers = {name.decode(): value.decode() for name, value in error_headers(found)}
        inherited = dict(getattr(error, "headers", None) or {})
        return Response(
            body, status_code=found.status, headers=headers | inherited, media_type="application/json"
        )

    def _dialect(self, path: str) -> Dialect:
        matching = (prefix for prefix in self._dialects if path.startswith(prefix))
        longest = max(matching, key=len, default="")
        return self._dialects.get(longest, self._fallback)


def _as_gateway_error(error: Exception) -> GatewayError:
    match error:
        case GatewayError():
            return error
        case HTTPException(status_code=404):
            return NotFound("unknown path")
        case HTTPException(status_code=status, detail=detail) if status in _REQUEST_ERRORS:
            return _REQUEST_ERRORS[status](detail)
        case HTTPException(status_code=status, detail=detail) if status < 500:
            return InvalidRequest(detail)
    get_logger().error("unexpected_error", exc_info=error)
    return GatewayError("internal error")
