"""What a refusal means: OpenAI's error object, and the dialects of it that servers speak."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gateway.generation.errors import (
    AccountRejected,
    BurstLimited,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidAnswer,
    InvalidRequest,
    ModelNotFound,
    QuotaExhausted,
    RateLimited,
    TooLarge,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from gateway.plugin_api.http import retry_after
from gateway.telemetry.redaction import redact

__all__ = ["Refusal", "error_in", "refuse", "refuse_call"]

_LONG_PAUSE = 120.0
_LONGEST_MESSAGE = 500


class Refusal(msgspec.Struct, frozen=True):
    """An error object, read as far as it can be. `word` is its code or else its type, in lower case."""

    message: str = ""
    word: str = ""
    kind: str = ""
    status: int = 0
    param: str | None = None
    pause: float | None = None


def error_in(answer: Any, status: int = 0, pause: float | None = None) -> Refusal | None:
    """Find the error in a decoded answer, None when there is none.

    Servers write ``{"error": {…}}``, ``{"error": "text"}`` or the bare object with ``"object": "error"``; a
    failed call may also hold the bare object without that mark. What is not OpenAI's error at all, such as a
    web framework's own 404, is none: it speaks about the route, not about the request.
    """
    if not isinstance(answer, Mapping):
        return None
    found = answer.get("error")
    if not found and (answer.get("object") == "error" or (status >= 400 and "message" in answer)):
        found = answer
    if isinstance(found, str):
        return Refusal(found, status=status, pause=pause)
    return _read(found, status, pause) if isinstance(found, Mapping) else None


def _read(found: Mapping[str, Any], status: int, pause: float | None) -> Refusal:
    code = found.get("code") or found.get("status") or ""
    number = int(code) if str(code).isdecimal() and len(str(code)) == 3 else 0
    kind = str(found.get("type") or "").lower()
    param = found.get("param")
    return Refusal(
        message=_text(found.get("message")),
        word=kind if number else str(code).lower() or kind,
        kind=kind,
        status=status or number,
        param=param if isinstance(param, str) else None,
        pause=pause,
    )


def refuse(refusal: Refusal) -> GatewayError:
    """Return the error that a refusal stands for: its word says more than its status."""
    make = _BY_WORD.get(refusal.word) or _by_status(refusal.status) or _BY_KIND.get(refusal.kind)
    return (make or _unavailable)(refusal)


def refuse_call(status: int, pause_header: str, body: bytes) -> GatewayError:
    """Return the error that an answer with a bad status stands for; `pause_header` is its Retry-After."""
    pause = retry_after(pause_header)
    try:
        refusal = error_in(msgspec.json.decode(body), status, pause)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        refusal = None
    if refusal is None and status in (404, 405):
        return InvalidAnswer("The provider has no such route: check the upstream's base_url.")
    return refuse(refusal or Refusal(status=status, pause=pause))


def _text(message: Any) -> str:
    return message if isinstance(message, str) else ""


def _shown(refusal: Refusal, fallback: str) -> str:
    """Return the provider's own sentence: it speaks about the request, not about the account."""
    return str(redact(refusal.message))[:_LONGEST_MESSAGE] or fallback


def _invalid(refusal: Refusal) -> GatewayError:
    return InvalidRequest(_shown(refusal, "The provider refuses the request."), param=refusal.param)


def _too_long(refusal: Refusal) -> GatewayError:
    return ContextTooLong(_shown(refusal, "The text is too long for the model."), param=refusal.param)


def _filtered(refusal: Refusal) -> GatewayError:
    return ContentRefused(_shown(refusal, "The provider's content filter refuses this."), param=refusal.param)


def _no_model(refusal: Refusal) -> GatewayError:
    return ModelNotFound("The provider does not serve this model.", param="model")


def _rejected(refusal: Refusal) -> GatewayError:
    return AccountRejected("The provider refuses the account.")


def _out_of_quota(refusal: Refusal) -> GatewayError:
    return QuotaExhausted("The account has no quota left.", retry_after=refusal.pause)


def _no_access(refusal: Refusal) -> GatewayError:
    """Return the refusal of an account whose key is good, but that has not bought the model."""
    return QuotaExhausted("The account may not use this model.")


def _limited(refusal: Refusal) -> GatewayError:
    kind = RateLimited if (refusal.pause or 0) > _LONG_PAUSE else BurstLimited
    return kind("The provider limits the account.", retry_after=refusal.pause)


def _too_large(refusal: Refusal) -> GatewayError:
    return TooLarge("The request is too large for the provider.")


def _late(refusal: Refusal) -> GatewayError:
    return UpstreamTimeout("The provider took too long.", sent=True)


def _unavailable(refusal: Refusal) -> GatewayError:
    return UpstreamUnavailable("The provider failed.", retry_after=refusal.pause, sent=True)


def _redirected(refusal: Refusal) -> GatewayError:
    return InvalidAnswer("The provider answered with a redirect: check the upstream's base_url.")


_Maker = Callable[[Refusal], GatewayError]
_BY_WORD: dict[str, _Maker] = {
    "insufficient_quota": _out_of_quota,
    "insufficient_balance": _out_of_quota,
    "billing_hard_limit_reached": _out_of_quota,
    "invalid_api_key": _rejected,
    "authentication_error": _rejected,
    "permission_error": _rejected,
    "context_length_exceeded": _too_long,
    "string_above_max_length": _too_long,
    "exceed_context_size_error": _too_long,
    "content_filter": _filtered,
    "content_policy_violation": _filtered,
    "moderation_blocked": _filtered,
    "data_inspection_failed": _filtered,
    "model_not_found": _no_model,
    "rate_limit_exceeded": _limited,
    "rate_limit_error": _limited,
    "limit_requests": _limited,
    # The words of DashScope's own errors, which its OpenAI-compatible routes use too.
    "datainspectionfailed": _filtered,
    "ipinfringementsuspect": _filtered,
    "arrearage": _out_of_quota,
    "allocationquota.freetieronly": _out_of_quota,
    "accessdenied": _no_access,
    "accessdenied.unpurchased": _no_access,
    "invalidapikey": _rejected,
    "invalidparameter": _invalid,
    "modelnotfound": _no_model,
    "throttling": _limited,
    "throttling.ratequota": _limited,
    "throttling.allocationquota": _limited,
    "internalerror.timeout": _late,
}
_BY_KIND: dict[str, _Maker] = {"invalid_request_error": _invalid, "badrequesterror": _invalid}
_BY_STATUS: dict[int, _Maker] = {
    401: _rejected,
    402: _out_of_quota,
    403: _rejected,
    404: _no_model,
    408: _late,
    413: _too_large,
    429: _limited,
    504: _late,
}
_BY_CLASS: dict[int, _Maker] = {3: _redirected, 4: _invalid, 5: _unavailable}


def _by_status(status: int) -> _Maker | None:
    return _BY_STATUS.get(status) or _BY_CLASS.get(status // 100)
