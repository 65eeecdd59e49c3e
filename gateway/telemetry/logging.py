"""Structured logs: JSON lines on stderr, or readable ones on a terminal."""

import logging
import sys
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any, BinaryIO, Literal, TextIO, cast

import msgspec
import structlog

from gateway.telemetry.redaction import redact

__all__ = ["configure_logging", "get_logger", "json_lines"]

_encode = msgspec.json.Encoder(enc_hook=repr).encode
_Event = MutableMapping[str, Any]


def get_logger() -> Any:
    """Return the gateway's logger: `log.info("event_name", key=value)`."""
    return structlog.get_logger("gateway")


def configure_logging(level: str = "info", form: Literal["auto", "json", "console"] = "auto") -> None:
    """Set structlog and the standard library's loggers up; may be called again."""
    global _json_lines
    threshold = logging.getLevelNamesMapping()[level.upper()]
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    lines = cast("BinaryIO", _Lossy(sys.stderr.buffer))
    _json_lines = None if console or threshold > logging.INFO else structlog.BytesLogger(lines).msg
    structlog.configure(
        processors=[*_PROCESSORS, *(_console() if console else [_render_json])],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _Lossy(sys.stderr)))
        if console
        else structlog.BytesLoggerFactory(lines),
        cache_logger_on_first_use=True,
    )
    _route_standard_loggers(threshold)


def json_lines() -> Callable[[bytes], None] | None:
    """Return what writes finished JSON lines; None where lines are for people, or not wanted at all."""
    return _json_lines


_json_lines: Callable[[bytes], None] | None = None


class _Lossy:
    """A stream that drops what it cannot take: a full disk or a reader that left must stop nobody's work."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, data: Any) -> int:
        try:
            return int(self._stream.write(data))
        except OSError:
            return 0

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


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
