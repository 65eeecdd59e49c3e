"""What can be made to go wrong, on request.

A fault is data: what (`kind`), where (account, endpoint, chat type), how often.
Three families: replies that take the place of the true one, disturbances of the
true reply on its way to the client, and outcomes that a new task is born with.
"""

from collections.abc import Callable
from typing import Final, Literal

import msgspec

from . import frames
from .accounts import user_id
from .journal import Entry
from .refusals import Refusal, bad_request, rate_limited

__all__ = [
    "OUTCOMES",
    "OUTCOME_SCOPE_KEY",
    "REPLIES",
    "Fault",
    "FaultKind",
    "Faults",
    "Reply",
]

OUTCOME_SCOPE_KEY: Final = "gateway_sandbox.outcome"

_ReplyKind = Literal[
    "daily_limit",
    "daily_limit_429",
    "daily_limit_flat",
    "daily_limit_frame",
    "burst_limit",
    "unauthorized",
    "unauthorized_401",
    "forbidden",
    "server_error",
    "gateway_timeout",
    "captcha_json",
    "captcha_html",
    "chat_in_progress",
    "internal_error",
    "data_inspection_failed",
    "inspection_frame",
    "error_frame",
    "error_text_frame",
    "empty_body",
    "created_only",
]
_Disturbance = Literal[
    "lost_answer",
    "cut",
    "cut_in_character",
    "stall",
    "slow",
    "malformed_frame",
    "done_frame",
    "wrong_content_type",
]
_Outcome = Literal["task_fails", "task_never_ends"]
FaultKind = Literal[_ReplyKind, _Disturbance, _Outcome]
OUTCOMES: Final = {"task_fails": "failed", "task_never_ends": "never"}


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One scripted fault. Empty selectors match everything; `account` is a token or a user id."""

    kind: FaultKind
    times: int = 1
    """How often it strikes; 0 is for ever."""
    skip: int = 0
    """How many matching requests pass unharmed first."""
    account: str = ""
    endpoint: str = ""
    chat_type: str = ""
    after: int = 0
    """Body bytes (`cut`) or pieces (`stall`, `malformed_frame`) that pass first."""
    seconds: float = 0.0
    """How long a `stall` lasts (0: until the client leaves); the delay of `slow` before each piece."""
    head_seconds: float = 0.0
    """Delay of `slow` before the head."""
    num: int | None = 4
    """Hours that a daily limit names."""
    status: int = 500
    """HTTP status of `server_error`."""

    def matches(self, entry: Entry) -> bool:
        """Whether it is meant for this request."""
        return (
            (not self.account or entry.account in (self.account, user_id(self.account)))
            and (not self.endpoint or entry.endpoint == self.endpoint)
            and (not self.chat_type or entry.chat_type == self.chat_type)
        )


class Faults:
    """The script: faults in order, each struck off when it is used up."""

    def __init__(self) -> None:
        self._script: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put a fault at the end of the script."""
        self._script.append(fault)

    def clear(self) -> None:
        """Forget the script."""
        self._script.clear()

    def pending(self) -> list[Fault]:
        """Return what is still to come, with the counts that are left."""
        return list(self._script)

    def take(self, entry: Entry) -> Fault | None:
        """Return the fault for this request; outcomes only for videos, where they mean something."""
        for at, fault in enumerate(self._script):
            fits = fault.kind not in OUTCOMES or entry.chat_type in ("t2v", "i2v")
            if not (fits and fault.matches(entry)):
                continue
            if fault.skip:
                self._script[at] = msgspec.structs.replace(fault, skip=fault.skip - 1)
                continue
            self._use(at, fault)
            return fault
        return None

    def _use(self, at: int, fault: Fault) -> None:
        if fault.times == 1:
            del self._script[at]
        elif fault.times:
            self._script[at] = msgspec.structs.replace(fault, times=fault.times - 1)


class Reply(msgspec.Struct, frozen=True):
    """A whole HTTP answer."""

    body: bytes
    status: int = 200
    media_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


def _refuse(refusal: Refusal, status: int = 200) -> Reply:
    return Reply(refusal.body(), status, headers=(("x-actual-status-code", str(refusal.status)),))


def _stream(*frames_: bytes) -> Reply:
    return Reply(b"".join(frames_), media_type="text/event-stream")


_UNAUTHORIZED = Refusal(401, "Unauthorized", "401 Unauthorized: Token has expired")
_BURST = Refusal(429, "Too_Many_Requests", "Too many requests, please slow down.")
_INSPECTION = Refusal(400, "data_inspection_failed", "The content may be inappropriate.")
_PUNISH = {
    "ret": ["FAIL_SYS_USER_VALIDATE", "RGV587_ERROR::SM::please try again later"],
    "data": {"url": "https://example.invalid/_____tmd_____/punish?x5secdata=sandbox"},
}
_CAPTCHA = (
    b"<!doctype html><html><head><title>Verification</title></head><body>captcha: aliyun_waf</body></html>"
)
_NGINX = b"<html><head><title>504 Gateway Time-out</title></head><body><center>nginx</center></body></html>"
_FLAT = {"code": "RateLimited", "detail": "You've reached the upper limit for today's usage."}

REPLIES: Final[dict[str, Callable[[Fault], Reply]]] = {
    "daily_limit": lambda fault: _refuse(rate_limited(fault.num)),
    "daily_limit_429": lambda fault: _refuse(rate_limited(fault.num), 429),
    "daily_limit_flat": lambda fault: Reply(
        msgspec.json.encode(_FLAT | ({"num": fault.num} if fault.num else {}))
    ),
    "daily_limit_frame": lambda fault: _stream(b"data: " + rate_limited(fault.num).body() + b"\n\n"),
    "burst_limit": lambda _: _refuse(_BURST, 429),
    "unauthorized": lambda _: _refuse(_UNAUTHORIZED),
    "unauthorized_401": lambda _: _refuse(_UNAUTHORIZED, 401),
    "forbidden": lambda _: _refuse(Refusal(403, "Forbidden", "403 Forbidden"), 403),
    "server_error": lambda fault: Reply(b"upstream connect error", fault.status, "text/plain"),
    "gateway_timeout": lambda _: Reply(_NGINX, 504, "text/html"),
    "captcha_json": lambda _: Reply(msgspec.json.encode(_PUNISH)),
    "captcha_html": lambda _: Reply(_CAPTCHA, media_type="text/html"),
    "chat_in_progress": lambda _: _refuse(bad_request("The chat is in progress!")),
    "internal_error": lambda _: _refuse(bad_request("internal error, please try again")),
    "data_inspection_failed": lambda _: _refuse(_INSPECTION),
    "inspection_frame": lambda _: _stream(
        frames.error("data_inspection_failed", str(_INSPECTION), "sandbox")
    ),
    "error_frame": lambda _: _stream(frames.error("internal_error", "Internal error!", "sandbox")),
    "error_text_frame": lambda _: _stream(frames.sse({"error": "Internal error!"})),
    "empty_body": lambda _: _stream(),
    "created_only": lambda _: _stream(frames.created("sandbox", "sandbox-user", "sandbox-answer")),
}
