"""Logs on a real device that fails."""

import logging
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import structlog

from gateway.telemetry.logging import configure_logging, get_logger, json_lines


@pytest.fixture(autouse=True)
def untouched(monkeypatch):
    """Undo what the tests configure."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", root.handlers[:])
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr("gateway.telemetry.logging._json_lines", None)
    yield
    structlog.reset_defaults()


@contextmanager
def full_disk():
    """Put standard error on a device without room."""
    device = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails as well
    kept, sys.stderr = sys.stderr, device
    try:
        yield
    finally:
        sys.stderr = kept
        with suppress(OSError):
            device.close()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_log_that_takes_nothing_stops_nobody(form):
    with full_disk():
        configure_logging(form=form)
        for number in range(1000):
            get_logger().warning("event", number=number, padding="x" * 100)


def test_finished_lines_that_cannot_be_written_stop_nobody():
    with full_disk():
        configure_logging(form="json")
        write = json_lines()
        assert write is not None
        for _ in range(1000):
            write(b"x" * 100)
