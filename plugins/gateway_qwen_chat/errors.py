"""What the provider's refusals mean.

HTTP 200 proves nothing on this wire: quota, bad tokens, missing chats and verification pages may all come
with it. An answer is judged by its HTTP status, the header `x-actual-status-code`, its content type, its
first non-blank byte and its body, in this order. What a body says is looked up in one table; the first row
that fits wins.
"""

import re
from collections.abc import Container
from typing import Any, NamedTuple

import msgspec

from gateway.generation.errors import (
    AccountRejected,
    BurstLimited,
    ChatBusy,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidAnswer,
    InvalidRequest,
    NotFound,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
    VerificationRequired,
)
from gateway.plugin_api import Answer, retry_after

__all__ = ["ParentMissing", "find_complaint", "find_error", "scrub", "true_status"]


class ParentMissing(NotFound):
    """The turn to go on from is not in the provider's chat."""


class _Complaint(NamedTuple):
    """What a body says went wrong; `num` is the provider's count of hours, None when it tells none."""

    code: str = ""
    details: str = ""
    num: float | None = None


class _Rule(NamedTuple):
    """A row of the table; `quotes`: the provider's own sentence replaces `message`."""

    error: type[GatewayError]
    message: str
    codes: Container[str] = ()
    words: re.Pattern[str] | None = None
    statuses: Container[int] = ()
    quotes: bool = False

    def fits(self, code: str, details: str, status: int) -> bool:
        return (
            code in self.codes
            or status in self.statuses
            or (self.words is not None and self.words.search(details) is not None)
        )


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


_VERIFICATION = "The provider asks for a human check; the operator has to open its site."

# Codes are compared in lower case with letters and digits only: the wire spells them in three ways.
_RULES = (
    _Rule(VerificationRequired, _VERIFICATION, {"failsysuservalidate"}, _words(r"RGV587|_____tmd_____")),
    _Rule(
        ContentRefused,
        "The provider's content filter refused the request.",
        {"datainspectionfailed", "contentfilter"},
        _words(r"data_inspection_failed|content (safety|security)|inappropriate content"),
    ),
    _Rule(
        ContextTooLong,
        "The conversation is longer than the model takes.",
        {"contextlengthexceeded"},
        _words(r"context_?length_?exceeded"),
    ),
    _Rule(
        RateLimited,
        "The account's daily limit is used up.",
        {"ratelimited"},
        _words(r"upper limit for today"),
        quotes=True,
    ),
    _Rule(BurstLimited, "Too many calls in a short time.", {"toomanyrequests"}),
    _Rule(
        AccountRejected,
        "The provider refuses the account's token.",
        {"unauthorized", "tokenexpired"},
        _words(r"token has expired"),
    ),
    _Rule(ChatBusy, "The chat still answers its previous turn.", words=_words(r"chat is in progress")),
    _Rule(
        ParentMissing,
        "The turn to go on from does not exist in this chat.",
        words=_words(r"parent_?id\b.*\bnot exist"),
    ),
    _Rule(
        NotFound,
        "The provider does not know this object (any more).",
        {"notfound", "chatnotfound"},
        _words(r"\bchat\b.*\bnot exist"),
    ),
    _Rule(
        UpstreamUnavailable,
        "The provider reported an internal error.",
        {"internalerror", "internalservererror"},
        _words(r"internal (server )?error"),
    ),
    _Rule(
        InvalidRequest,
        "The provider refused the request as invalid.",
        {"badrequest", "invalidinput", "requestvalidationerror"},
        _words(r"RequestValidationError"),
    ),
    _Rule(AccountRejected, "The provider refuses the account.", statuses={401, 403}),
    _Rule(NotFound, "The provider does not know this object (any more).", statuses={404}),
    _Rule(BurstLimited, "Too many calls in a short time.", statuses={429}),
    _Rule(InvalidRequest, "The provider refused the request as invalid.", statuses={400, 413, 422}),
    _Rule(UpstreamTimeout, "The provider gave up on the call.", statuses={408}),
    _Rule(UpstreamUnavailable, "The provider answered with a server error.", statuses=range(500, 600)),
)

_BLANK = b" \t\r\n\xef\xbb\xbf"
_URL = re.compile(r"\b\w+://\S+")
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_PUNISHMENT = re.compile(r"punish|_____tmd_____|captcha|waf", re.IGNORECASE)


def find_error(answer: Answer) -> GatewayError | None:
    """Return the error that a whole answer is; None for a success.

    `sent` is True on provider faults only: everything else is a definite refusal of the call.
    """
    status = true_status(answer.status, answer.headers.get("x-actual-status-code", ""))
    if 300 <= status < 400:
        return _redirect(answer.headers.get("location", ""))
    body = _first_frame(answer.body.lstrip(_BLANK))
    if body.startswith(b"<") or (_is_html(answer) and not body.startswith(b"{")):
        return _page(status)
    error = find_complaint(body, status)
    if isinstance(error, RateLimited | BurstLimited) and error.retry_after is None:
        error.retry_after = retry_after(answer.headers.get("retry-after", ""))
    return error


def find_complaint(body: bytes, status: int = 200) -> GatewayError | None:
    """Return the error that a JSON object reports, or that `status` alone amounts to."""
    complaint = _read_complaint(body, refused=status >= 400)
    if complaint is None:
        return None
    code = re.sub(r"[^a-z0-9]", "", complaint.code.lower())
    for rule in _RULES:
        if rule.fits(code, complaint.details, status):
            return _error(rule, complaint)
    known = f" ({complaint.code})" if _CODE.fullmatch(complaint.code) else ""
    return UpstreamError(f"The provider refused the call{known}.", sent=True)


def true_status(status: int, actual: str) -> int:
    """Return the status that is meant: `x-actual-status-code` corrects a success that HTTP reports."""
    told = re.fullmatch(r"[1-5][0-9]{2}", actual) is not None
    return int(actual) if told and status < 300 else status


def scrub(text: str, limit: int = 300) -> str:
    """Return a provider's sentence fit to be shown: without URLs, on one line, not too long."""
    line = " ".join(_URL.sub("(link)", text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _error(rule: _Rule, complaint: _Complaint) -> GatewayError:
    quoted = scrub(complaint.details) if rule.quotes else ""
    hours = complaint.num if rule.error is RateLimited else None
    return rule.error(
        quoted or rule.message,
        retry_after=None if hours is None else hours * 3600,
        sent=issubclass(rule.error, UpstreamError),
    )


def _is_html(answer: Answer) -> bool:
    return answer.headers.get("content-type", "").lower().startswith("text/html")


def _first_frame(body: bytes) -> bytes:
    """Return the first event's data where a refusal came dressed as a stream, else the body."""
    return body.partition(b"\n")[0][5:] if body.startswith(b"data:") else body


def _redirect(location: str) -> GatewayError:
    if _PUNISHMENT.search(location):
        return VerificationRequired(_VERIFICATION)
    return InvalidAnswer("The provider redirected the call, which is never followed.", sent=True)


def _page(status: int) -> GatewayError:
    if status >= 500:
        return UpstreamUnavailable("The provider's front answered with an error page.", sent=True)
    return VerificationRequired(_VERIFICATION)


def _read_complaint(body: bytes, *, refused: bool) -> _Complaint | None:
    """Find the complaint in any of the wire's forms; None when there is none and none is `refused`."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        value = None
    found = _complaint_of(value) if isinstance(value, dict) else None
    return found or (_Complaint() if refused else None)


def _complaint_of(value: dict[str, Any]) -> _Complaint | None:
    if verdict := _verdict(value.get("ret")):
        return _Complaint("FAIL_SYS_USER_VALIDATE", verdict)
    if value.get("data_inspection_failed"):
        return _Complaint("data_inspection_failed")
    if error := value.get("error"):
        return _fields(error) if isinstance(error, dict) else _Complaint(details=str(error))
    if value.get("success") is False:
        data = value.get("data")
        return _fields(data if isinstance(data, dict) and data else value)
    flat = value.get("success") is None and isinstance(value.get("code"), str)
    bare = bool(value) and value.keys() <= {"detail", "details", "message"}
    return _fields(value) if flat or bare else None


def _verdict(ret: object) -> str:
    """Return what the protection in front of the provider says, "" when it lets the call pass."""
    words = " ".join(map(str, ret)) if isinstance(ret, list) else ""
    return "" if words.startswith("SUCCESS") else words


def _fields(value: dict[str, Any]) -> _Complaint:
    details = value.get("details") or value.get("detail") or value.get("message") or ""
    return _Complaint(str(value.get("code") or ""), str(details), _hours(value.get("num")))


def _hours(num: object) -> float | None:
    try:
        hours = float(num) if isinstance(num, int | float | str) else 0.0
    except (ValueError, OverflowError):
        return None
    return hours if 0 < hours < float("inf") else None
