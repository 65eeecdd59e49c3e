"""One sample: one workload on one running contestant."""

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import msgspec
from msgspec.structs import astuple

from tests.bench.contestants import Running, ask
from tests.bench.machine import (
    CONTESTANT_CORE,
    HARNESS_CORE,
    children_cpu_seconds,
    core_busy_seconds,
    cpu_seconds,
    resident_bytes,
    spawn,
    stopping,
)
from tests.bench.tools import LoadResult, Mock, load_argv, read_result
from tests.bench.workloads import Workload

__all__ = ["Sample", "measure", "measure_start"]

_SETTLE = 1.0


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What was seen. `cpu_seconds` belongs to all units of the load, the warm-up included.

    `harness_busy` is the share of its core that mock and load generator used: near 1 the harness,
    not the contestant, was the limit. `disturbed` is the share of the contestant's core that others used.
    `seen` are figures that only one kind of workload has, by their names.
    """

    contestant: str
    workload: str
    load: LoadResult | None = None
    expected_marks: int = 0
    cpu_seconds: float | None = None
    resident_before: int = 0
    resident_peak: int = 0
    harness_busy: float = 0.0
    disturbed: float = 0.0
    ready_seconds: float = 0.0
    help_seconds: float | None = None
    seen: Mapping[str, float] = {}


def measure(workload: Workload, running: Running, mock: Mock) -> Sample:
    """Put the load on the contestant and account for what it used."""
    path = workload.path.replace("{task}", _make_task(running) if "{task}" in workload.path else "")
    argv = load_argv(
        running.port, running.headers, path=path, method=workload.method, body=workload.body, **workload.load
    )
    pid = running.pid
    before = _resident(pid)
    start = _Clocks.read(pid, mock)
    load, peak = _watch(argv, pid, workload.hold)
    used = _Clocks.read(pid, mock).since(start)
    return Sample(
        contestant=running.name,
        workload=workload.name,
        load=load,
        expected_marks=int(workload.load.get("marks", 0)) * load.started,
        cpu_seconds=used.contestant if pid else None,
        resident_before=before,
        resident_peak=peak,
        harness_busy=used.harness / used.wall,
        disturbed=max(0.0, used.core - used.contestant) / used.wall,
    )


def measure_start(workload: Workload, running: Running, help_argv: Sequence[str]) -> Sample:
    """The figures of a contestant that has just answered its first request."""
    time.sleep(_SETTLE)
    return Sample(
        contestant=running.name,
        workload=workload.name,
        resident_before=_resident(running.pid),
        ready_seconds=running.ready_seconds,
        help_seconds=_run_time(help_argv) if help_argv else None,
    )


class _Clocks(msgspec.Struct, frozen=True):
    """Seconds: of the wall, and of CPU for the contestant, its core, and the harness."""

    wall: float
    contestant: float
    core: float
    harness: float

    @classmethod
    def read(cls, pid: int | None, mock: Mock) -> Self:
        return cls(
            time.monotonic(),
            cpu_seconds(pid) if pid else 0.0,
            core_busy_seconds(CONTESTANT_CORE),
            cpu_seconds(mock.pid) + children_cpu_seconds(),
        )

    def since(self, start: Self) -> Self:
        return type(self)(*(now - then for now, then in zip(astuple(self), astuple(start), strict=True)))


def _resident(pid: int | None) -> int:
    return resident_bytes(pid) if pid else 0


def _watch(argv: Sequence[str | Path], pid: int | None, hold: bool) -> tuple[LoadResult, int]:
    """Run the load to its end, or till all is open; watch the contestant's memory meanwhile."""
    peak = 0
    with tempfile.TemporaryFile() as output:
        with stopping(spawn(argv, HARNESS_CORE, stdout=output.fileno())) as process:
            while process.poll() is None and not (hold and _all_open(output.fileno())):
                time.sleep(0.2)
                peak = max(peak, _resident(pid))
            if hold:
                time.sleep(_SETTLE)
                peak = max(peak, _resident(pid))
        return read_result(os.pread(output.fileno(), 1 << 16, 0)), peak


def _all_open(output: int) -> bool:
    return os.pread(output, 4, 0) == b"open"


def _make_task(running: Running) -> str:
    """Ask for a video without waiting; a pass-through has no tasks, and there any id will do."""
    body = '{"model":"bench","message":"A video.","chatType":"t2v","waitForCompletion":false}'
    _, answer = ask(running.port, running.headers, "/api/chat", body)
    return str(msgspec.json.decode(answer).get("task_id", "none"))


def _run_time(argv: Sequence[str]) -> float:
    started = time.monotonic()
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - started
