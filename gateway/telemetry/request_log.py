"""The canonical line of each finished request.

Where logs are JSON, the lines wait for a moment and go out together: one encoding and one write for many
requests. On a terminal each line goes through structlog like any other.
"""

import asyncio
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from gateway.telemetry.logging import get_logger, json_lines
from gateway.telemetry.observation import Observation
from gateway.telemetry.redaction import redact

__all__ = ["RequestLine", "RequestLog"]

_WAIT_SECONDS = 0.05
_MOST_LINES = 256  # about 64 KB

_encode_lines = msgspec.json.Encoder().encode_lines
# What a client may choose is all that can hold a secret here; the same few values come again and again.
_redacted = lru_cache(maxsize=1024)(redact)


class RequestLine(
    msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True, tag_field="event", tag="request"
):
    """One finished request. Times are in seconds; what is empty or unknown is left out."""

    request_id: str
    client_request_id: str = ""
    method: str
    route: str
    status: int
    chat_type: str = ""
    dialect: str = ""
    owner: str = ""
    model: str = ""
    upstream: str = ""
    account: str = ""
    attempts: int = 0
    finish_reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0
    task_id: str = ""
    stream: bool = False
    bytes_out: int = 0
    error_code: str = ""
    client_gone: bool = False
    duration_s: float
    ttft_s: float | None = None
    upstream_s: float | None = None
    overhead_s: float | None = None
    level: str
    timestamp: datetime


class RequestLog:
    """Writes the lines; `flush` before the process ends."""

    def __init__(self) -> None:
        self._lines: list[RequestLine] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, observed: Observation, duration: float) -> None:
        """Log a request that took `duration` seconds."""
        line = _describe(observed, duration)
        if json_lines() is None:
            get_logger().info("request", **_fields(line))
            return
        self._lines.append(line)
        if len(self._lines) >= _MOST_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        write = json_lines()
        if lines and write is not None:
            write(_encode_lines(lines).removesuffix(b"\n"))


def _describe(observed: Observation, duration: float) -> RequestLine:
    first = observed.time_to_first_event
    upstream = observed.upstream_seconds
    return RequestLine(
        request_id=observed.request_id,
        client_request_id=_redacted(observed.client_request_id),
        method=observed.method,
        route=observed.route,
        status=observed.status,
        chat_type=observed.chat_type,
        dialect=observed.dialect,
        owner=observed.owner,
        model=_redacted(observed.model),
        upstream=observed.upstream,
        account=observed.account,
        attempts=observed.attempts,
        finish_reason=observed.finish_reason,
        tokens_in=observed.tokens_in,
        tokens_out=observed.tokens_out,
        task_id=observed.task_id,
        stream=observed.stream,
        bytes_out=observed.bytes_out,
        error_code=observed.error_code,
        client_gone=observed.client_gone,
        duration_s=round(duration, 6),
        ttft_s=None if first is None else round(first, 6),
        upstream_s=round(upstream, 6) if upstream else None,
        overhead_s=round(max(0.0, duration - upstream), 6) if upstream else None,
        level="info",
        timestamp=datetime.now(UTC),
    )


def _fields(line: RequestLine) -> dict[str, object]:
    """Return the line for structlog, which adds event, level and time itself."""
    fields: dict[str, object] = msgspec.to_builtins(line)
    return {name: value for name, value in fields.items() if name not in _STRUCTLOGS}


_STRUCTLOGS = frozenset({"event", "level", "timestamp"})
