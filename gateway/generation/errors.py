"""Everything that can go wrong, as one tree.

GatewayError
├── RequestError                  the caller must change the request
│   ├── InvalidRequest            400  a field is missing, ill-typed or out of range
│   │   ├── ContentRefused        400  the provider's content filter
│   │   └── ContextTooLong        400  more text than the model takes
│   ├── Unauthorized              401  no key, or a wrong one
│   │   └── KeyRevoked            401  the key was taken back while the call was under way
│   ├── Forbidden                 403  this key may not use this chat type or model
│   ├── NotFound                  404  no such object, or another key's
│   │   └── ModelNotFound         404  no upstream serves this model
│   ├── MethodNotAllowed          405
│   ├── Conflict                  409  the object's state forbids it
│   ├── TooLarge                  413
│   ├── UnsupportedMediaType      415
│   ├── RangeNotSatisfiable       416  the wanted piece lies behind the end of the file
│   └── IdempotencyKeyReuse       422  the same key with another body
├── AccountError                  this account cannot serve it; another one may
│   ├── RateLimited               429  the account's limit for a chat type, for hours
│   ├── BurstLimited              429  too fast, for seconds
│   ├── QuotaExhausted            429  out of money or free quota
│   ├── AccountRejected           503  the provider refuses the account's token
│   ├── VerificationRequired      503  the provider asks for a human
│   └── ChatBusy                  503  the provider's chat still answers the previous turn
├── UpstreamError                 the provider failed; nobody knows whether it will again
│   ├── UpstreamUnreachable       502  no connection, or it was lost
│   ├── UpstreamUnavailable       502  a 5xx answer
│   ├── UpstreamTimeout           504  a deadline passed
│   ├── InvalidAnswer             502  an answer that cannot be understood
│   │   ├── EmptyAnswer           502  success without content
│   │   └── TaskIdMissing         502  a video was accepted without a task id
│   ├── AnswerCut                 502  a stream that ended before its finish marker
│   └── AmbiguousSubmit           502  a paid call whose answer was lost
├── TaskFailed                    502  the provider gave the task up
├── PollTimeout                   504  the caller's wait ran out; the task goes on
└── GatewayUnavailable            the gateway itself cannot serve now
    ├── AllAccountsLimited        429  every account will come back by itself
    ├── KeyLimited                429  this client key's own limit
    ├── NoUsableAccount           503  every account needs its operator
    ├── Overloaded                503
    ├── StorageUnavailable        503  what must not be lost cannot be kept
    │   └── ResultUnkept          503  what was made, and paid for, cannot be kept
    └── Draining                  503  this process is shutting down
"""

from collections.abc import Iterator

from gateway.generation.gateway_error import Advice, GatewayError

__all__ = [
    "AccountError",
    "AccountRejected",
    "Advice",
    "AllAccountsLimited",
    "AmbiguousSubmit",
    "AnswerCut",
    "BurstLimited",
    "ChatBusy",
    "Conflict",
    "ContentRefused",
    "ContextTooLong",
    "Draining",
    "EmptyAnswer",
    "Forbidden",
    "GatewayError",
    "GatewayUnavailable",
    "IdempotencyKeyReuse",
    "InvalidAnswer",
    "InvalidRequest",
    "KeyLimited",
    "KeyRevoked",
    "MethodNotAllowed",
    "ModelNotFound",
    "NoUsableAccount",
    "NotFound",
    "Overloaded",
    "PollTimeout",
    "QuotaExhausted",
    "RangeNotSatisfiable",
    "RateLimited",
    "RequestError",
    "ResultUnkept",
    "StorageUnavailable",
    "TaskFailed",
    "TaskIdMissing",
    "TooLarge",
    "Unauthorized",
    "UnsupportedMediaType",
    "UpstreamError",
    "UpstreamTimeout",
    "UpstreamUnavailable",
    "UpstreamUnreachable",
    "VerificationRequired",
    "error_codes",
]


class RequestError(GatewayError):
    """The caller must change the request."""

    status = 400
    code = "invalid_request"


class InvalidRequest(RequestError):
    """A field is missing, ill-typed or out of range; `param` names it."""


class ContentRefused(InvalidRequest):
    """The provider's content filter refused the prompt or the result."""

    code = "content_filter"


class ContextTooLong(InvalidRequest):
    """More text than the model takes."""

    code = "context_length_exceeded"


class Unauthorized(RequestError):
    """No client key, or a wrong one."""

    status = 401
    code = "unauthorized"


class KeyRevoked(Unauthorized):
    """The client key was taken back while its call was under way."""

    code = "key_revoked"


class Forbidden(RequestError):
    """This client key may not use this chat type or model."""

    status = 403
    code = "forbidden"


class NotFound(RequestError):
    """No such object, or another client key's: both answer the same."""

    status = 404
    code = "not_found"


class ModelNotFound(NotFound):
    """No upstream serves this model."""

    code = "model_not_found"


class MethodNotAllowed(RequestError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class Conflict(RequestError):
    """The object's state forbids it."""

    status = 409
    code = "conflict"


class TooLarge(RequestError):
    """The body is over the limit."""

    status = 413
    code = "too_large"


class UnsupportedMediaType(RequestError):
    """The body's content type is not one that the route reads."""

    status = 415
    code = "unsupported_media_type"


class RangeNotSatisfiable(RequestError):
    """The wanted piece lies behind the end of the file; `size` is the file's, None when unknown."""

    status = 416
    code = "range_not_satisfiable"

    def __init__(self, size: int | None) -> None:
        super().__init__("the range lies behind the end of the file")
        self.size = size


class IdempotencyKeyReuse(RequestError):
    """The same idempotency key came with another body."""

    status = 422
    code = "idempotency_key_reuse"


class AccountError(GatewayError):
    """This account cannot serve the request; another one may."""

    status = 503
    code = "no_usable_account"
    advice = Advice.OTHER_ACCOUNT


class RateLimited(AccountError):
    """The account's limit for this chat type; `retry_after` when the provider says how long."""

    status = 429
    code = "rate_limited"
    outcome = "rate_limited"


class BurstLimited(AccountError):
    """Too many calls in a short time: a pause of seconds, not of hours."""

    status = 429
    code = "rate_limited"
    outcome = "rate_limited"


class QuotaExhausted(AccountError):
    """Out of money or free quota: the operator must act."""

    status = 429
    code = "insufficient_quota"
    outcome = "quota"
    client_may_retry = False


class AccountRejected(AccountError):
    """The provider refuses the account's token."""

    outcome = "auth"
    client_may_retry = False


class VerificationRequired(AccountError):
    """The provider asks for a human; the operator has to open its site."""

    code = "upstream_verification_required"
    outcome = "verification"
    client_may_retry = False


class ChatBusy(AccountError):
    """The provider's chat still answers the previous turn."""

    code = "overloaded"
    outcome = "rate_limited"
    advice = Advice.NEVER


class UpstreamError(GatewayError):
    """The provider failed."""

    status = 502
    code = "upstream_error"
    advice = Advice.BUDGETED
    outcome = "upstream_5xx"


class UpstreamUnreachable(UpstreamError):
    """No connection to the provider, or it was lost."""

    outcome = "network"


class UpstreamUnavailable(UpstreamError):
    """The provider answered with a server error."""


class UpstreamTimeout(UpstreamError):
    """A deadline passed while the provider was silent."""

    status = 504
    code = "upstream_timeout"
    outcome = "timeout"


class InvalidAnswer(UpstreamError):
    """The provider's answer cannot be understood."""

    outcome = "invalid"


class EmptyAnswer(InvalidAnswer):
    """Success without content: an error, never an empty success."""


class TaskIdMissing(InvalidAnswer):
    """A creation was answered without a task id."""

    code = "task_id_missing"
    advice = Advice.NEVER
    client_may_retry = False


class AnswerCut(UpstreamError):
    """The stream ended before its finish marker."""

    outcome = "network"


class AmbiguousSubmit(UpstreamError):
    """A paid call whose answer was lost: it may have been accepted, so it is never sent again."""

    code = "create_ambiguous"
    advice = Advice.NEVER
    client_may_retry = False


class TaskFailed(GatewayError):
    """The provider gave the task up; `code` is its word."""

    status = 502
    code = "task_failed"
    client_may_retry = False


class PollTimeout(GatewayError):
    """The caller's wait ran out; the task goes on."""

    status = 504
    code = "poll_timeout"
    client_may_retry = False


class GatewayUnavailable(GatewayError):
    """The gateway itself cannot serve now."""

    status = 503
    code = "overloaded"


class AllAccountsLimited(GatewayUnavailable):
    """Every account is limited and will come back by itself; `retry_after` is the earliest return."""

    status = 429
    code = "rate_limited"


class KeyLimited(GatewayUnavailable):
    """This client key's own limit."""

    status = 429
    code = "rate_limited"


class NoUsableAccount(GatewayUnavailable):
    """Every account is invalid or disabled: the operator must act."""

    code = "no_usable_account"
    client_may_retry = False


class Overloaded(GatewayUnavailable):
    """No capacity within the waiting limit."""


class StorageUnavailable(GatewayUnavailable):
    """What must not be lost cannot be kept now, so nothing is sent."""

    code = "storage_unavailable"


class ResultUnkept(StorageUnavailable):
    """What was made, and paid for, cannot be kept: asking again would pay again."""

    client_may_retry = False


class Draining(GatewayUnavailable):
    """This process is shutting down; another one serves."""

    code = "draining"


def error_codes() -> frozenset[str]:
    """Return the code of every class of the tree; a provider's own words are not among them."""
    return frozenset(_codes(GatewayError))


def _codes(error: type[GatewayError]) -> Iterator[str]:
    yield error.code
    for narrower in error.__subclasses__():
        yield from _codes(narrower)
