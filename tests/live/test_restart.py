"""What is being made, and the chat that it belongs to, outlive their gateway."""

import time
from pathlib import Path
from typing import Any

import httpx

from tests.process import Provider, providing, running


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


def test_a_chat_goes_on_from_what_was_made_in_the_background(tmp_path: Path) -> None:
    with providing(tmp_path, video_seconds=0.5) as provider:
        toml = provider.configured("token-one")
        with running(tmp_path, toml) as gateway:
            chat = f"{gateway.url}/api/chat"
            chat_id = httpx.post(chat, json={"message": "Hello"}, timeout=30).json()["chatId"]
            picture = {"message": "A lake", "chatType": "t2i", "chatId": chat_id, "async": True}
            for order in (picture, {**picture, "chatType": "t2v"}):
                made = httpx.post(chat, json=order, timeout=30).json()["task_id"]
                assert wait_for_end(f"{gateway.url}/api/tasks/status/{made}")["task_status"] == "completed"
            gateway.kill()
        with running(tmp_path, toml) as gateway:
            question = {"message": "And now?", "chatId": chat_id}
            assert httpx.post(f"{gateway.url}/api/chat", json=question, timeout=30).status_code == 200
        said = [message["content"] for message in lineage(provider)[::-1] if message["role"] == "user"]
        assert said == ["Hello", "A lake", "A lake", "And now?"]


def lineage(provider: Provider) -> list[dict[str, Any]]:
    """Return the messages from the last one back to the first, as the provider's chat links them."""
    theirs = provider.calls("completions")[-1]["chat_id"]
    token = {"authorization": "Bearer token-one"}
    answer = httpx.get(f"{provider.url}/api/v2/chats/{theirs}", headers=token).json()
    history = answer["data"]["chat"]["history"]
    messages, at = history["messages"], history["currentId"]
    found = []
    while at:
        found.append(messages[at])
        at = messages[at]["parentId"]
    return found
