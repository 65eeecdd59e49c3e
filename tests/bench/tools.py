"""The two C programs of the harness: compiled when first needed, started, read."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tests.bench.machine import FOLDER, HARNESS_CORE, spawn, stopping

__all__ = [
    "Latency",
    "LoadResult",
    "Mock",
    "MockOptions",
    "binary",
    "load_argv",
    "mock_server",
    "read_result",
]

_SOURCES = Path(__file__).with_name("wire")


class MockOptions(msgspec.Struct, frozen=True):
    """How the mock provider answers: chunks of a stream, the pause between them, sizes."""

    chunks: int = 100
    interval_ms: int = 0
    text_bytes: int = 1024
    image_bytes: int = 2 << 20


class Mock(msgspec.Struct, frozen=True):
    """A running mock provider."""

    port: int
    pid: int


class Latency(msgspec.Struct, frozen=True):
    """A distribution in microseconds."""

    count: int
    mean: float
    p50: float
    p90: float
    p99: float
    p999: float
    max: float


class LoadResult(msgspec.Struct, frozen=True):
    """What one run of the load generator saw; `units` are right answers, `marks` text chunks."""

    latency: Latency | None
    first: Latency | None
    mark: Latency | None
    seconds: float
    started: int
    units: int
    units_timed: int
    marks: int
    marks_timed: int
    bytes: int
    opened: int
    bad_status: int
    bad_body: int
    lost_marks: int
    closed: int
    refused: int
    unfinished: int

    @property
    def errors(self) -> int:
        """Answers that were wrong, cut, or never came."""
        return self.bad_status + self.bad_body + self.closed + self.refused + self.unfinished


def binary(name: str) -> Path:
    """The compiled program `name`; compiles it when its source is newer."""
    source, target = _SOURCES / f"{name}.c", FOLDER / "bin" / name
    if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_suffix(f".{os.getpid()}")
        subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", fresh, source], check=True)
        fresh.replace(target)
    return target


@contextmanager
def mock_server(options: MockOptions, core: int = HARNESS_CORE) -> Iterator[Mock]:
    """Run the mock provider on a free port of 127.0.0.1."""
    argv: list[str | Path] = [binary("mock")]
    for name, value in msgspec.structs.asdict(options).items():
        argv += [f"--{name.replace('_', '-')}", str(value)]
    with stopping(spawn(argv, core, stdout=subprocess.PIPE)) as process:
        assert process.stdout is not None
        yield Mock(port=int(process.stdout.readline()), pid=process.pid)


def load_argv(port: int, headers: Sequence[str], **options: str | float) -> list[str | Path]:
    """The command line of one load; keyword names are the program's options."""
    argv: list[str | Path] = [binary("load"), "--port", str(port)]
    for header in headers:
        argv += ["--header", header]
    for name, value in options.items():
        argv += [f"--{name.replace('_', '-')}", str(value)]
    return argv


def read_result(output: bytes) -> LoadResult:
    """The result at the end of the load generator's output."""
    return msgspec.json.decode(output.splitlines()[-1], type=LoadResult)
