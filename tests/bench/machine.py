"""What the harness asks of the machine: cores, files, ports, and what a process tree has used."""

import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = [
    "CONTESTANT_CORE",
    "FOLDER",
    "HARNESS_CORE",
    "ROOT",
    "children_cpu_seconds",
    "core_busy_seconds",
    "cpu_seconds",
    "file_limit",
    "free_port",
    "pin",
    "prepare",
    "resident_bytes",
    "spawn",
    "stopping",
]

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".bench"

_CORES = sorted(os.sched_getaffinity(0))
CONTESTANT_CORE = _CORES[0]
HARNESS_CORE = _CORES[1] if len(_CORES) > 1 else _CORES[0]

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def pin(core: int) -> None:
    """Bind this process, and what it starts from now on, to one core."""
    os.sched_setaffinity(0, {core})


def prepare() -> None:
    """Take the harness core and all the files allowed; end what was started when told to stop."""
    pin(HARNESS_CORE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(128 + signal.SIGTERM))


def file_limit() -> int:
    """The number of files a child process may open."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


def free_port() -> int:
    """A port on 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def spawn(
    argv: Sequence[str | Path],
    core: int,
    *,
    stdout: int | None = None,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a process of its own group on one core; its standard error goes to `log` (or nowhere)."""
    sink = log.open("ab") if log else subprocess.DEVNULL
    try:
        return subprocess.Popen(
            [str(part) for part in argv],
            stdin=subprocess.DEVNULL,
            stdout=sink if stdout is None else stdout,
            stderr=sink,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
            preexec_fn=lambda: pin(core),
        )
    finally:
        if not isinstance(sink, int):
            sink.close()


@contextmanager
def stopping(process: subprocess.Popen[bytes], patience: float = 5.0) -> Iterator[subprocess.Popen[bytes]]:
    """Stop the process at the end: SIGTERM, then SIGKILL to its group when it does not listen."""
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants, user and system, those that ended included."""
    return sum(map(_own_cpu_seconds, _tree(pid)))


def core_busy_seconds(core: int) -> float:
    """How long a core has worked, for whomever, or was taken by the host."""
    lines = Path("/proc/stat").read_text().splitlines()
    line = next(line for line in lines if line.startswith(f"cpu{core} "))
    user, nice, system, _idle, _iowait, irq, softirq, steal, *_guests = map(int, line.split()[1:])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def resident_bytes(pid: int) -> int:
    """Resident memory of a process and its descendants."""
    return sum(_stat(member)[21] for member in _tree(pid)) * _PAGE


def children_cpu_seconds() -> float:
    """CPU time of the children of this process that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _own_cpu_seconds(pid: int) -> float:
    """The scheduler's nanoseconds, or the coarser ticks where they know of more: threads that have ended."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    exact = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9
    user, system, *ended_children = _stat(pid)[11:15]
    return max(exact, (user + system) / _TICKS) + sum(ended_children) / _TICKS


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in _tree(int(child)))]


def _stat(pid: int) -> list[int]:
    """The numbers of /proc/PID/stat from the fourth field on (the state before them is a letter)."""
    text = Path(f"/proc/{pid}/stat").read_text()
    state_and_numbers = text[text.rindex(")") + 2 :].split()
    return [0, *map(int, state_and_numbers[1:])]
