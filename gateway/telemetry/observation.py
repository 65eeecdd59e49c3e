"""What is noted while the gateway works: of each request, and of each call to a provider."""

import time
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

__all__ = ["Attempt", "Observation"]


class Attempt(msgspec.Struct, frozen=True, gc=False):
    """One call to a provider, which took some seconds and ended one way or another."""

    upstream: str
    account: str
    chat_type: str
    outcome: str
    seconds: float


class Observation(msgspec.Struct, gc=False):
    """What is known about one request: filled in by every floor, for its log line and its metrics.

    Mutable on purpose and owned by the request alone until it ends; then nobody changes it any more.
    Times are in seconds since `started`, which is on the monotonic clock. `upstream_seconds` is what was
    spent waiting for bytes of providers, or for connections to them, `overhead` all the rest. `event` and
    `level` are how the log calls it.
    """

    event: ClassVar[str] = "request"
    level: ClassVar[str] = "info"

    request_id: str
    method: str = ""
    client_request_id: str = ""
    started: float = msgspec.field(default_factory=time.monotonic)
    route: str = "unmatched"
    status: int = 0
    dialect: str = ""
    chat_type: str = ""
    model: str = ""
    owner: str = ""
    upstream: str = ""
    account: str = ""
    attempts: int = 0
    task_id: str = ""
    finish_reason: str = ""
    error_code: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    bytes_out: int = 0
    media: int = 0
    video_seconds: float = 0.0
    first_event: float | None = None
    duration: float = 0.0
    upstream_seconds: float | None = None
    overhead: float | None = None
    stream: bool = False
    client_gone: bool = False
    timestamp: datetime = datetime.min

    def saw_first_event(self) -> None:
        """Note the time of the first event that was passed on."""
        if self.first_event is None:
            self.first_event = round(time.monotonic() - self.started, 6)

    def end(self, waited: float) -> None:
        """Note the end; `waited` seconds were spent on providers."""
        duration = time.monotonic() - self.started
        self.duration = round(duration, 6)
        if waited:
            self.upstream_seconds = round(waited, 6)
            self.overhead = round(max(0.0, duration - waited), 6)
        self.timestamp = datetime.now(UTC)
