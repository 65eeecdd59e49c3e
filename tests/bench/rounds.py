"""The order of things: every workload, round by round, the contestants taking turns."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import TypeVar

from tests.bench.contestants import Contestant, Running, run_contestant
from tests.bench.figures import Round
from tests.bench.gateway import Gateway, Shape
from tests.bench.lending import measure_lending
from tests.bench.measure import Sample, measure, measure_start
from tests.bench.tools import Mock, mock_server
from tests.bench.videos import measure_videos
from tests.bench.workloads import Workload

__all__ = ["rotated", "run_workload"]

T = TypeVar("T")
Tell = Callable[[str], None]


_GATEWAY_ONLY: Mapping[str, Callable[[Workload], Sample]] = {
    "lease": measure_lending,
    "video": measure_videos,
}
"""What nobody else can do, by its unit; it is long or steady enough for one round."""


def rotated(items: Sequence[T], turn: int) -> list[T]:
    """The items in an order that begins with another one at each turn."""
    shift = turn % len(items)
    return [*items[shift:], *items[:shift]]


def run_workload(
    workload: Workload, contestants: Sequence[Contestant], rounds: int, tell: Tell
) -> list[Round]:
    """All rounds of one workload over those that speak its wire."""
    if workload.unit in _GATEWAY_ONLY:
        is_asked_for = any(isinstance(contestant, Gateway) for contestant in contestants)
        return [{"gateway": _told(tell, _GATEWAY_ONLY[workload.unit](workload))}] if is_asked_for else []
    able = [_shaped(workload, contestant) for contestant in contestants if workload.wire in contestant.wires]
    with mock_server(workload.mock) as mock:
        if workload.unit == "start":
            return [_start_round(workload, rotated(able, turn), mock, tell) for turn in range(rounds)]
        if workload.hold:
            return [_fresh_round(workload, rotated(able, turn), mock, tell) for turn in range(rounds)]
        with ExitStack() as stack:
            running = [stack.enter_context(run_contestant(c, mock.port, workload.name)) for c in able]
            return [_round(workload, rotated(running, turn), mock, tell) for turn in range(rounds)]


def _shaped(workload: Workload, contestant: Contestant) -> Contestant:
    """The native workloads go over the Qwen chat wire."""
    if isinstance(contestant, Gateway) and workload.wire == "native":
        return Gateway(Shape(text_upstream="qwen"))
    return contestant


def _round(workload: Workload, running: Sequence[Running], mock: Mock, tell: Tell) -> Round:
    return {one.name: _told(tell, measure(workload, one, mock)) for one in running}


def _fresh_round(workload: Workload, contestants: Sequence[Contestant], mock: Mock, tell: Tell) -> Round:
    """A new process for each sample: memory that was once gained is seldom given back."""
    samples = {}
    for contestant in contestants:
        with run_contestant(contestant, mock.port, workload.name) as running:
            samples[running.name] = _told(tell, measure(workload, running, mock))
    return samples


def _start_round(workload: Workload, contestants: Sequence[Contestant], mock: Mock, tell: Tell) -> Round:
    samples = {}
    for contestant in contestants:
        help_argv = contestant.help_argv() if isinstance(contestant, Gateway) else ()
        with run_contestant(contestant, mock.port, workload.name) as running:
            samples[running.name] = _told(tell, measure_start(workload, running, help_argv))
    return samples


def _told(tell: Tell, sample: Sample) -> Sample:
    if sample.seen:
        tell(f"{sample.workload:8} {sample.contestant:8} {_listed(sample.seen)}")
        return sample
    load = sample.load
    busy = f", harness {sample.harness_busy:.0%} busy" if load else ""
    units = (
        f"{load.units:,} answers, {load.errors} errors" if load else f"ready in {sample.ready_seconds:.2f} s"
    )
    tell(f"{sample.workload:8} {sample.contestant:8} {units}{busy}")
    return sample


def _listed(seen: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:,.2f}" for name, value in seen.items())
