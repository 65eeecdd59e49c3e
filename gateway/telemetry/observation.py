"""The record of one request: filled in by every floor, written out once at its true end."""

import time

__all__ = ["Observation"]


class Observation:
    """What is known about one request, for its log line and its metrics.

    Mutable on purpose and owned by the request alone. Times are on the monotonic clock, in seconds;
    `upstream_seconds` is what was spent waiting for bytes of providers, or for connections to them.
    """

    __slots__ = (
        "account",
        "attempts",
        "bytes_out",
        "chat_type",
        "client_gone",
        "client_request_id",
        "dialect",
        "error_code",
        "finish_reason",
        "first_event",
        "media",
        "method",
        "model",
        "owner",
        "request_id",
        "route",
        "started",
        "status",
        "stream",
        "task_id",
        "tokens_in",
        "tokens_out",
        "upstream",
        "upstream_seconds",
        "video_seconds",
    )

    def __init__(self, request_id: str, *, method: str = "", client_request_id: str = "") -> None:
        self.request_id = request_id
        self.client_request_id = client_request_id
        self.method = method
        self.started = time.monotonic()
        self.route = "unmatched"
        self.status = 0
        self.dialect = self.chat_type = self.model = self.owner = ""
        self.upstream = self.account = self.task_id = self.finish_reason = self.error_code = ""
        self.attempts = self.tokens_in = self.tokens_out = self.bytes_out = self.media = 0
        self.first_event = 0.0
        self.upstream_seconds = 0.0
        self.video_seconds = 0.0
        self.stream = False
        self.client_gone = False

    def saw_first_event(self) -> None:
        """Note the time of the first event that was passed on."""
        if not self.first_event:
            self.first_event = time.monotonic()

    @property
    def time_to_first_event(self) -> float | None:
        """Seconds from the request's start to its first event; None when there was none."""
        return self.first_event - self.started if self.first_event else None
