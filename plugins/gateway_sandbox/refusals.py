"""The provider's way to say no: HTTP 200, the true status in a header, the reason in the body."""

import uuid
from typing import Any

import msgspec

__all__ = ["Refusal", "bad_request", "envelope", "not_found", "rate_limited", "validation_error"]


class Refusal(Exception):
    """A refused call; `status` travels in `x-actual-status-code`, the HTTP status stays 200."""

    def __init__(self, status: int, code: str, details: str, **more: Any) -> None:
        super().__init__(details)
        self.status = status
        self.code = code
        self.more = more

    def body(self) -> bytes:
        """Return the JSON body of the wire."""
        data = {"code": self.code, "details": str(self), **self.more}
        return msgspec.json.encode({"success": False, "request_id": str(uuid.uuid4()), "data": data})


def envelope(data: Any) -> bytes:
    """Return the body of a successful v2 answer."""
    return msgspec.json.encode({"success": True, "request_id": str(uuid.uuid4()), "data": data})


def bad_request(details: str) -> Refusal:
    """Return a call that makes no sense here and now."""
    return Refusal(400, "Bad_Request", details)


def validation_error(field: str, problem: str) -> Refusal:
    """Return a call with a field that is missing or wrong."""
    return Refusal(400, "RequestValidationError", f"RequestValidationError: Field '{field}': {problem}")


def not_found(details: str) -> Refusal:
    """Return an object that does not exist for this account."""
    return Refusal(404, "Not_Found", details)


def rate_limited(num: int | None) -> Refusal:
    """Return the daily limit, with the hours to wait where the provider tells them."""
    template = "You've reached the upper limit for today's usage. Please wait {{num}} hours and try again."
    more: dict[str, Any] = {"template": template} if num is None else {"template": template, "num": num}
    return Refusal(429, "RateLimited", "You've reached the upper limit for today's usage.", **more)
