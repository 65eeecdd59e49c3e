"""Turns, contestants and growth: everything that runs without a gateway."""

import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from shutil import which

import msgspec
import pytest

from gateway.config import load_settings
from tests.bench.chart import Curve, draw
from tests.bench.contestants import Direct, NeverAnsweredError, Nginx, Running, run_contestant
from tests.bench.gateway import Gateway, Shape
from tests.bench.machine import HARNESS_CORE, cpu_seconds, resident_bytes, spawn, stopping
from tests.bench.measure import measure
from tests.bench.rounds import rotated, run_workload
from tests.bench.tools import MockOptions, mock_server
from tests.bench.workloads import Workload, answers, catalogue, chosen

needs_cc = pytest.mark.skipif(which("cc") is None, reason="there is no C compiler")
needs_nginx = pytest.mark.skipif(not Nginx().available(), reason="nginx is not installed")


def test_everyone_is_first_once() -> None:
    assert [rotated("abc", turn) for turn in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]


def test_workloads_are_chosen_by_name_or_by_family() -> None:
    everything = catalogue()
    assert [w.name for w in chosen(everything, ("w3", "W1"))] == ["W1", "W3-1000", "W3-5000"]
    assert [w.name for w in chosen(everything, ("W4-10",))] == ["W4-10"]
    assert chosen(everything, ()) == everything


@needs_cc
@needs_nginx
def test_a_workload_runs_in_turns() -> None:
    told: list[str] = []
    rounds = run_workload(answers(0.1), [Direct(), Nginx()], 2, told.append)
    assert [list(round_) for round_ in rounds] == [["direct", "nginx"], ["nginx", "direct"]]
    assert len(told) == 4
    for round_ in rounds:
        through, past = round_["nginx"], round_["direct"]
        assert through.load is not None
        assert through.load.errors == 0
        assert through.load.units > 0
        assert through.cpu_seconds is not None
        assert 0 < through.cpu_seconds < 1
        assert through.resident_before > 1_000_000
        assert past.cpu_seconds is None


@needs_cc
@needs_nginx
def test_held_streams_end_when_all_are_open() -> None:
    workload = Workload(
        name="W7",
        title="",
        body='{"stream":true}',
        mock=MockOptions(chunks=10, interval_ms=60_000),
        load={"clients": 20, "once": 1, "seconds": 60},
        hold=True,
    )
    (round_,) = run_workload(workload, [Nginx()], 1, lambda _: None)
    load = round_["nginx"].load
    assert load is not None
    assert (load.opened, load.units, load.errors) == (20, 0, 0)


def test_a_contestant_that_ends_at_once_is_named() -> None:
    never = run_contestant(Gateway(command=("/bin/false",)), 1, "test")
    with pytest.raises(NeverAnsweredError, match="/bin/false"):
        never.__enter__()


@needs_cc
def test_the_id_of_a_task_goes_into_the_path() -> None:
    workload = msgspec.structs.replace(
        chosen(catalogue(), ("W8",))[0], load={"requests": 2, "seconds": 5, "expect": "task_status"}
    )
    with mock_server(MockOptions()) as mock:
        sample = measure(workload, Running("direct", mock.port, (), None, 0.0), mock)
    assert sample.load is not None
    assert (sample.load.units, sample.load.errors) == (2, 0)


def test_cpu_and_memory_of_a_process_tree() -> None:
    burn = "x = bytearray(50_000_000)\nwhile True: pass"
    nest = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burn!r}])"
    with stopping(spawn([sys.executable, "-c", nest], HARNESS_CORE, stdout=subprocess.PIPE)) as parent:
        before = cpu_seconds(parent.pid)
        with pytest.raises(subprocess.TimeoutExpired):
            parent.wait(0.5)
        assert cpu_seconds(parent.pid) - before > 0.1
        assert resident_bytes(parent.pid) > 50_000_000
        os.killpg(parent.pid, 9)


@pytest.mark.parametrize("shape", [Shape(), Shape(accounts=30, keys=20, text_upstream="qwen")])
def test_the_gateway_understands_its_configuration(tmp_path: Path, shape: Shape) -> None:
    gateway = Gateway(shape)
    launch = gateway.launch(1234, 4321, tmp_path)
    assert launch is not None
    settings = load_settings(tmp_path / "gateway.toml")
    assert len(settings.auth.keys) == shape.keys
    assert len(settings.upstreams["local"].accounts) == shape.accounts
    assert settings.routes["t2t"] == (shape.text_upstream,)
    assert gateway.headers(4321) == ("authorization: Bearer sk-bench-0",)


def test_a_chart_is_xml_with_a_dot_for_each_size() -> None:
    curves = [
        Curve("tasks & more", (1, 10, 100), (12.0, 15.0, 11.0), 0.02),
        Curve("keys", (1, 10), (9.0, 95.0), 1.02),
    ]
    svg = ET.fromstring(draw(curves, "growth"))
    assert len(list(svg.iter("{http://www.w3.org/2000/svg}circle"))) == 5
    assert "~ n1.02" in "".join(svg.itertext())
