"""SIGTERM: probes see it at once, nobody is cut off without a word, and the process goes."""

import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import Provider, Running, running

SLOWLY: dict[str, Any] = {"kind": "slow", "times": 0, "endpoint": "completions", "seconds": 0.1}


@pytest.fixture
def start(healthy: Provider, tmp_path: Path) -> Callable[[float], Any]:
    return lambda drain: running(
        tmp_path, healthy.configured("token-one", more=f"[server]\ndrain_seconds = {drain}\n")
    )


def stream(gateway: Running, numbers: int, frames: list[str]) -> None:
    """Have numbers counted, and keep each frame as it comes."""
    body = {"message": f"Count to {numbers}", "stream": True}
    with httpx.stream("POST", f"{gateway.url}/api/chat", json=body, timeout=30) as answer:
        frames += (line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: "))


def wait_until(done: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def streaming(gateway: Running, numbers: int) -> tuple[threading.Thread, list[str]]:
    frames: list[str] = []
    reader = threading.Thread(target=stream, args=(gateway, numbers, frames))
    reader.start()
    wait_until(lambda: bool(frames))
    return reader, frames


def test_readiness_falls_at_once_and_streams_end_whole(
    start: Callable[[float], Any], healthy: Provider
) -> None:
    healthy.fail(**SLOWLY)
    with start(20.0) as gateway:
        reader, frames = streaming(gateway, 12)
        with httpx.Client(base_url=gateway.url) as probe:
            assert probe.get("/readyz").status_code == 200
            gateway.terminate()
            told = time.monotonic()
            while probe.get("/readyz").status_code == 200:
                assert time.monotonic() - told < 0.3
            assert probe.get("/livez").status_code == 200
            assert probe.get("/v1/models").status_code == 200
        reader.join(20)
        assert frames[-1] == "[DONE]"
        assert gateway.process.wait(10) == 0


def test_a_stream_that_outlasts_the_drain_ends_with_a_word(
    start: Callable[[float], Any], healthy: Provider
) -> None:
    healthy.fail(**SLOWLY)
    with start(0.5) as gateway:
        reader, frames = streaming(gateway, 900)
        gateway.terminate()
        reader.join(10)
        assert json.loads(frames[-1])["code"] == "server_draining"
        assert sum('"error"' in frame for frame in frames) == 1
        assert gateway.process.wait(10) == 0


def test_short_requests_all_succeed(start: Callable[[float], Any], healthy: Provider) -> None:
    healthy.fail("slow", times=0, endpoint="completions", head_seconds=1.5)
    before = len(healthy.calls("completions"))
    with start(20.0) as gateway, httpx.Client(base_url=gateway.url, timeout=20) as client:
        with ThreadPoolExecutor(20) as askers:
            asked = [askers.submit(client.post, "/api/chat", json={"message": "Ping"}) for _ in range(20)]
            wait_until(lambda: len(healthy.calls("completions")) == before + 20)
            gateway.terminate()
            late = client.get("/v1/models")
        assert [answer.result().status_code for answer in asked] == [200] * 20
        assert late.status_code == 200
        assert gateway.process.wait(10) == 0


def test_probes_answer_under_load(start: Callable[[float], Any]) -> None:
    with start(1.0) as gateway:
        stop = threading.Event()

        def load() -> None:
            with httpx.Client(base_url=gateway.url, timeout=30) as client:
                while not stop.is_set():
                    client.post("/api/chat", json={"message": "Write 300 words"})

        workers = [threading.Thread(target=load) for _ in range(8)]
        for worker in workers:
            worker.start()
        try:
            for path in ("/livez", "/readyz", "/metrics") * 10:
                began = time.monotonic()
                assert httpx.get(f"{gateway.url}{path}").status_code == 200
                assert time.monotonic() - began < 2
        finally:
            stop.set()
            for worker in workers:
                worker.join(30)
