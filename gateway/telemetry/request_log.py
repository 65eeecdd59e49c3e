"""The canonical line of each finished request.

Where logs are JSON, the lines wait for a moment and go out together: one encoding and one write for many
requests. On a terminal each line goes through structlog like any other.
"""

import asyncio
from datetime import datetime
from functools import lru_cache

import msgspec
from msgspec.structs import force_setattr

from gateway.telemetry.logging import get_logger, json_lines
from gateway.telemetry.observation import Observation
from gateway.telemetry.redaction import redact

__all__ = ["RequestLine", "RequestLog"]

_WAIT_SECONDS = 0.05
_MOST_LINES = 256  # about 64 KB

_encode_lines = msgspec.json.Encoder().encode_lines
# What a client may choose is all that can hold a secret here; the same few values come again and again.
_redacted = lru_cache(maxsize=1024)(redact)


class RequestLine(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, kw_only=True):
    """What is said of an `Observation`. Times are in seconds; what is empty or unknown is left out."""

    event: str
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
    duration: float = msgspec.field(name="duration_s")
    first_event: float | None = msgspec.field(name="ttft_s", default=None)
    upstream_seconds: float | None = msgspec.field(name="upstream_s", default=None)
    overhead: float | None = msgspec.field(name="overhead_s", default=None)
    level: str
    timestamp: datetime

    def __post_init__(self) -> None:
        """Redact what a client may have chosen."""
        force_setattr(self, "client_request_id", _redacted(self.client_request_id))
        force_setattr(self, "model", _redacted(self.model))


class RequestLog:
    """Writes the lines; `flush` before the process ends."""

    def __init__(self) -> None:
        self._ended: list[Observation] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, observed: Observation) -> None:
        """Log a request that has ended."""
        if json_lines() is None:
            get_logger().info("request", **_fields(observed))
            return
        self._ended.append(observed)
        if len(self._ended) >= _MOST_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_WAIT_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ended, self._ended = self._ended, []
        write = json_lines()
        if ended and write is not None:
            write(_encode_lines(map(_describe, ended)).removesuffix(b"\n"))


def _describe(observed: Observation) -> RequestLine:
    return msgspec.convert(observed, RequestLine, from_attributes=True)


def _fields(observed: Observation) -> dict[str, object]:
    """Return the line for structlog, which adds event, level and time itself."""
    fields: dict[str, object] = msgspec.to_builtins(_describe(observed))
    return {name: value for name, value in fields.items() if name not in _STRUCTLOGS}


_STRUCTLOGS = frozenset({"event", "level", "timestamp"})
