"""Structured logs: JSON lines on stderr, or readable ones on a terminal."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import msgspec
import structlog

from gateway.telemetry.observation import Observation
from gateway.telemetry.redaction import redact

__all__ = ["configure_logging", "get_logger", "log_request"]

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_Event = MutableMapping[str, Any]


def get_logger() -> Any:
    """Return the gateway's logger: `log.info("event_name", key=value)`."""
    return structlog.get_logger("gateway")


def configure_logging(level: str = "info", form: Literal["auto", "json", "console"] = "auto") -> None:
    """Set structlog and the standard library's loggers up; may be called again."""
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    structlog.configure(
        processors=[*_PROCESSORS, *(_console() if console else [_render_json])],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr)
        if console
        else structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    _route_standard_loggers(threshold)


def log_request(observed: Observation, duration: float) -> None:
    """Write the one canonical line of a finished request."""
    first = observed.time_to_first_event
    fields = {name: getattr(observed, name) for name in _LINE}
    line = {name: value for name, value in fields.items() if value or name in _ALWAYS}
    get_logger().info(
        "request",
        **line,
        duration_s=round(duration, 6),
        **({} if first is None else {"ttft_s": round(first, 6)}),
        **(_upstream_times(observed, duration) if observed.upstream_seconds else {}),
    )


def _upstream_times(observed: Observation, duration: float) -> dict[str, float]:
    return {
        "upstream_s": round(observed.upstream_seconds, 6),
        "overhead_s": round(max(0.0, duration - observed.upstream_seconds), 6),
    }


_ALWAYS = frozenset({"method", "request_id", "route", "status"})
_LINE = (
    "request_id",
    "client_request_id",
    "method",
    "route",
    "status",
    "chat_type",
    "dialect",
    "owner",
    "model",
    "upstream",
    "account",
    "attempts",
    "finish_reason",
    "tokens_in",
    "tokens_out",
    "task_id",
    "stream",
    "bytes_out",
    "error_code",
    "client_gone",
)


def _redact(logger: Any, method: str, event: _Event) -> _Event:
    return {key: redact(value) for key, value in event.items()}


def _render_json(logger: Any, method: str, event: _Event) -> bytes:
    return _encode(event)


_PROCESSORS: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    # Local variables hold prompts and tokens: tracebacks go without them.
    structlog.processors.ExceptionRenderer(
        structlog.tracebacks.ExceptionDictTransformer(show_locals=False, max_frames=20)
    ),
    _redact,
]


def _console() -> list[Any]:
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


class _Forward(logging.Handler):
    """Hands records of other libraries' loggers to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        event = record.getMessage()
        log = structlog.get_logger(record.name)
        log.log(record.levelno, event, logger=record.name, exc_info=record.exc_info)


def _route_standard_loggers(threshold: int) -> None:
    root = logging.getLogger()
    root.handlers[:] = [_Forward()]
    root.setLevel(threshold)
    # httpx logs whole signed URLs at INFO; uvicorn's access log would repeat our own line.
    for name in ("httpx", "httpcore", "uvicorn", "uvicorn.error", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logging.getLogger(name).handlers.clear()
        logging.getLogger(name).propagate = name != "uvicorn.access"
