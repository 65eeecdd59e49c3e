"""Run a command of the gateway in this process under a sampling profiler.

    python -m tests.bench.sampler OUTPUT serve --config FILE --port N

A timer that runs on CPU time interrupts every 2 ms; the handler notes whose turn it was. Unlike a tracing
profiler this does not charge functions for being called. When the command has ended, OUTPUT holds counts
of stacks as JSON: a list of [[[file, function], ...innermost first], count].
"""

import dis
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType

import msgspec

__all__ = ["LOOP", "Place", "main", "stack_of"]

Place = tuple[str, str]
"""A file and a function in it."""

LOOP: Place = ("", "event loop")
"""Where no Python code runs: polling, reading, switching between callbacks."""

_INTERVAL = 0.002
_RESUME = dis.opmap["RESUME"]
_AFTER_AWAIT = {2, 3}


def stack_of(frame: FrameType | None) -> tuple[Place, ...]:
    """The places of a stack, innermost first.

    A signal that comes while C code runs is handled when Python code goes on. Found at the first instruction
    of a function, it belongs to the caller; found where a coroutine wakes up, to the loop that woke it.
    """
    if frame is not None and (argument := _resume_argument(frame)) is not None:
        if argument in _AFTER_AWAIT:
            return (LOOP,)
        frame = frame.f_back
    return tuple(_places(frame)) or (LOOP,)


def main() -> None:
    """Sample the rest of the command line as a `gateway` command."""
    (gateway,) = entry_points(group="console_scripts", name="gateway")
    command = gateway.load()
    output, sys.argv = Path(sys.argv[1]), ["gateway", *sys.argv[2:]]
    counts: Counter[tuple[Place, ...]] = Counter()

    def take_sample(_number: int, frame: FrameType | None) -> None:
        counts[stack_of(frame)] += 1

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGPROF, take_sample)
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, _INTERVAL, _INTERVAL)
    try:
        command()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        output.write_bytes(msgspec.json.encode(list(counts.items())))


def _resume_argument(frame: FrameType) -> int | None:
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at + 1] if at >= 0 and code[at] == _RESUME else None


def _places(frame: FrameType | None) -> Iterator[Place]:
    while frame is not None:
        yield frame.f_code.co_filename, frame.f_code.co_qualname
        frame = frame.f_back


if __name__ == "__main__":
    main()
