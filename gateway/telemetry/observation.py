"""The record of one request: filled in by every floor, written out once at its true end."""

import time

import msgspec

__all__ = ["Observation"]


class Observation(msgspec.Struct, gc=False):
    """What is known about one request, for its log line and its metrics.

    Mutable on purpose and owned by the request alone. Times are on the monotonic clock, in seconds;
    `upstream_seconds` is what was spent waiting for bytes of providers, or for connections to them.
    """

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
    first_event: float = 0.0
    upstream_seconds: float = 0.0
    stream: bool = False
    client_gone: bool = False

    def saw_first_event(self) -> None:
        """Note the time of the first event that was passed on."""
        if not self.first_event:
            self.first_event = time.monotonic()

    @property
    def time_to_first_event(self) -> float | None:
        """Seconds from the request's start to its first event; None when there was none."""
        return self.first_event - self.started if self.first_event else None
