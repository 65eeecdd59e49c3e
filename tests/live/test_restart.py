"""A film that is being made outlives its gateway."""

import time
from pathlib import Path

import httpx

from tests.process import providing, running


def test_a_film_is_finished_after_a_kill(tmp_path: Path) -> None:
    with providing(tmp_path, video_seconds=2.0) as provider:
        toml = provider.configured("token-one")
        order = {"message": "Waves", "chatType": "t2v", "waitForCompletion": False}
        with running(tmp_path, toml) as gateway:
            task_id = httpx.post(f"{gateway.url}/api/chat", json=order).json()["task_id"]
            gateway.kill()
        with running(tmp_path, toml) as gateway:
            status = wait_for_end(f"{gateway.url}/api/tasks/status/{task_id}")
            assert status["task_status"] == "completed"
            assert httpx.get(status["content"]).content[4:8] == b"ftyp"
        assert len(provider.calls("completions", "t2v")) == 1


def wait_for_end(url: str) -> dict[str, str]:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        status: dict[str, str] = httpx.get(url).json()
        if status["task_status"] not in ("pending", "processing"):
            return status
        time.sleep(0.1)
    raise AssertionError("the film was never finished")
