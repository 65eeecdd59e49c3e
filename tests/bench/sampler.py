"""Run a command of the gateway in this process under a sampling profiler.

    python -P sampler.py OUTPUT serve --config FILE --port N

A timer that runs on CPU time interrupts every 4 ms; the handler notes whose turn it was. Unlike a tracing
profiler this does not charge functions for being called. SIGUSR1 forgets what was counted so far, the start.
When the command has ended, OUTPUT holds the counts as JSON: a list of [[file, function], count].
"""

import dis
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType

import msgspec

__all__ = ["LOOP", "Place", "main", "place_of", "sampling"]

Place = tuple[str, str]
"""A file and a function in it."""

LOOP: Place = ("", "event loop")
"""Where no Python code runs: polling, reading, switching between callbacks."""

_INTERVAL = 0.004
_RESUME = dis.opmap["RESUME"]
_AFTER_AWAIT = {2, 3}
_RUNNER = "Runner.run"


def place_of(frame: FrameType | None) -> Place:
    """Who used the time until the frame was interrupted.

    A signal that comes while C code runs is handled when Python code goes on. Found at the first instruction
    of a function, it belongs to the caller; found where a coroutine wakes up, to the loop that woke it.
    """
    if frame is not None and (argument := _resume_argument(frame)) is not None:
        if argument in _AFTER_AWAIT:
            return LOOP
        frame = frame.f_back
    if frame is None or frame.f_code.co_qualname == _RUNNER:
        return LOOP
    return frame.f_code.co_filename, frame.f_code.co_qualname


@contextmanager
def sampling(counts: Counter[Place]) -> Iterator[None]:
    """Count where the main thread is while the body runs."""

    def take_sample(_number: int, frame: FrameType | None) -> None:
        counts[place_of(frame)] += 1

    before = signal.signal(signal.SIGPROF, take_sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def main() -> None:
    """Sample the rest of the command line as a `gateway` command."""
    (gateway,) = entry_points(group="console_scripts", name="gateway")
    command = gateway.load()
    output, sys.argv = Path(sys.argv[1]), ["gateway", *sys.argv[2:]]
    counts: Counter[Place] = Counter()
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: counts.clear())
    try:
        with sampling(counts):
            command()
    finally:
        output.write_bytes(msgspec.json.encode(list(counts.items())))


def _leave(_number: int, _frame: FrameType | None) -> None:
    """The server raises SIGTERM once more when it has shut down: an end like any other."""
    raise SystemExit


def _resume_argument(frame: FrameType) -> int | None:
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if at >= 0 and code[at] == _RESUME else None


if __name__ == "__main__":
    main()
