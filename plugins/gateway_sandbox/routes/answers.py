"""How the routes answer: the bodies of the wire as Litestar responses."""

from typing import Any

import msgspec
from litestar import Request, Response

from ..refusals import Refusal, envelope

__all__ = ["flat", "origin", "refused", "succeeded"]


def succeeded(data: Any) -> Response[bytes]:
    """Return a v2 answer: the data in its envelope."""
    return Response(envelope(data), status_code=200, media_type="application/json")


def flat(value: Any) -> Response[bytes]:
    """Return a v1 answer: the object alone."""
    return Response(msgspec.json.encode(value), status_code=200, media_type="application/json")


def refused(_: Request[Any, Any, Any], refusal: Refusal) -> Response[bytes]:
    """Return a refusal: HTTP 200, the true status in a header."""
    headers = {"x-actual-status-code": str(refusal.status)}
    return Response(refusal.body(), status_code=200, headers=headers, media_type="application/json")


def origin(request: Request[Any, Any, Any]) -> str:
    """Where the caller reached the sandbox, without a trailing slash."""
    return str(request.base_url).rstrip("/")
