import asyncio
import io
import logging
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from types import SimpleNamespace

import msgspec
import pytest
import structlog

from gateway.telemetry.logging import configure_logging, json_lines
from gateway.telemetry.observation import Observation
from gateway.telemetry.request_log import RequestLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.BytesIO]:
    """Standard error, with JSON logs going there."""
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(buffer=output, isatty=lambda: False))
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    configure_logging("info", "json")
    yield output
    configure_logging("info", "console")
    structlog.reset_defaults()


def _observation(**fields: object) -> Observation:
    observed = Observation("r1", method="POST", duration=1.0, timestamp=datetime.now(UTC))
    observed.route, observed.status = "/v1/chat/completions", 200
    for name, value in fields.items():
        setattr(observed, name, value)
    return observed


def _lines(output: io.BytesIO) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in output.getvalue().splitlines()]


async def test_a_line_says_what_is_known_and_leaves_out_the_rest(written: io.BytesIO) -> None:
    log = RequestLog()
    log.write(_observation(owner="alice", tokens_out=7, upstream_seconds=0.25, overhead=0.75))
    log.flush()
    (line,) = _lines(written)
    assert isinstance(line.pop("timestamp"), str)
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "r1",
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "owner": "alice",
        "tokens_out": 7,
        "duration_s": 1.0,
        "upstream_s": 0.25,
        "overhead_s": 0.75,
    }


async def test_an_overhead_of_nothing_is_still_said(written: io.BytesIO) -> None:
    log = RequestLog()
    log.write(_observation(upstream_seconds=2.0, overhead=0.0))
    log.flush()
    assert _lines(written)[0]["overhead_s"] == 0.0


async def test_what_a_client_chose_is_redacted(written: io.BytesIO) -> None:
    log = RequestLog()
    log.write(_observation(model="Bearer abcdefghij", client_request_id="sk-abcdefghij"))
    log.flush()
    assert b"abcdefghij" not in written.getvalue()


async def test_lines_wait_a_moment_and_leave_in_order(written: io.BytesIO) -> None:
    log = RequestLog()
    for status in range(200, 210):
        log.write(_observation(status=status))
    assert not written.getvalue()
    await asyncio.sleep(0.1)
    assert [line["status"] for line in _lines(written)] == list(range(200, 210))


async def test_many_lines_do_not_wait(written: io.BytesIO) -> None:
    log = RequestLog()
    for _ in range(1000):
        log.write(_observation())
    assert len(_lines(written)) > 700
    log.flush()
    log.flush()
    assert len(_lines(written)) == 1000


async def test_without_json_each_line_goes_through_structlog() -> None:
    assert json_lines() is None
    with structlog.testing.capture_logs() as captured:
        RequestLog().write(_observation(client_gone=True))
    (line,) = captured
    assert line["event"] == "request"
    assert line["client_gone"] is True
    assert "owner" not in line


async def test_nothing_is_kept_when_requests_are_below_the_level(written: io.BytesIO) -> None:
    configure_logging("error", "json")
    log = RequestLog()
    log.write(_observation())
    log.flush()
    assert not written.getvalue()
