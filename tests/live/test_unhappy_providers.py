"""What clients see of a provider in trouble, through both APIs, waiting and streaming."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.process import Provider, Running, running

GUIDE = (Path(__file__).parents[2] / "docs" / "guide.md").read_text("utf-8")
DEADLINES = "[deadlines]\nfirst_event = 1.5\nbetween_events = 1.0\n"
QUESTION = "Count to 400"
CHINESE = "Echo: one two three " + "你好世界" * 300
"""Asks for its own text back."""


@pytest.fixture
def gateway(healthy: Provider, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, healthy.configured("token-one", more=DEADLINES)) as gateway:
        yield gateway


def guide_error(word: str) -> dict[str, Any]:
    """Return the error body that the guide shows for a word."""
    (text,) = re.findall(rf'^({{ "error": "{word}".*}})$', GUIDE, re.MULTILINE)
    body: dict[str, Any] = json.loads(text)
    return body


def native(gateway: Running, **fields: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/api/chat", json={"message": QUESTION, **fields}, timeout=20)


def openai(gateway: Running, question: str = QUESTION, **fields: Any) -> httpx.Response:
    body = {"model": "qwen3-max", "messages": [{"role": "user", "content": question}], **fields}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=20)


BEFORE_THE_FIRST_WORD = [
    ("daily_limit", {}, 429, "rate_limited"),
    ("daily_limit_429", {}, 429, "rate_limited"),
    ("daily_limit_flat", {}, 429, "rate_limited"),
    ("daily_limit_frame", {}, 429, "rate_limited"),
    ("burst_limit", {}, 429, "rate_limited"),
    ("unauthorized", {}, 503, "no_usable_account"),
    ("unauthorized_401", {}, 503, "no_usable_account"),
    ("captcha_json", {}, 503, "upstream_verification_required"),
    ("captcha_html", {}, 503, "upstream_verification_required"),
    ("server_error", {}, 502, "upstream_error"),
    ("gateway_timeout", {}, 502, "upstream_error"),
    ("data_inspection_failed", {}, 400, "content_filter"),
    ("error_frame", {}, 502, "upstream_error"),
    ("error_text_frame", {}, 502, "upstream_error"),
    ("empty_body", {}, 502, "upstream_error"),
    ("created_only", {}, 502, "upstream_error"),
    ("stall", {"after": 0}, 504, "upstream_timeout"),
]
IN_OPENAI_WORDS = {"rate_limited": "rate_limit_exceeded", "content_filter": "content_policy_violation"}


@pytest.mark.parametrize(("fault", "how", "status", "code"), BEFORE_THE_FIRST_WORD)
def test_trouble_before_the_first_word_keeps_its_status(
    gateway: Running,
    healthy: Provider,
    fault: str,
    how: dict[str, Any],
    status: int,
    code: str,
) -> None:
    healthy.fail(fault, times=0, endpoint="completions", **how)
    for answer in (ask(gateway, stream=stream) for ask in (native, openai) for stream in (False, True)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json")
        if status == 429:
            assert int(answer.headers["retry-after"]) >= 1
        body = answer.json()
        if isinstance(body["error"], str):
            assert body["code"] == code
            assert body["request_id"] == answer.headers["x-request-id"]
        else:
            assert body["error"]["code"] == IN_OPENAI_WORDS.get(code, code)


def test_a_daily_limit_is_said_word_for_word(gateway: Running, healthy: Provider) -> None:
    healthy.fail("daily_limit", times=0, endpoint="completions", num=4)
    expected = guide_error("RateLimited")
    first, later = native(gateway), native(gateway)
    for answer in (first, later):
        assert {name: answer.json()[name] for name in expected} == expected
        assert 3 * 3600 < int(answer.headers["retry-after"]) <= 4 * 3600 + 60


def test_a_limit_is_not_asked_for_again(gateway: Running, healthy: Provider) -> None:
    healthy.fail("daily_limit", times=0, endpoint="completions")
    native(gateway)
    asked = len(healthy.calls("completions"))
    assert [native(gateway).status_code for _ in range(5)] == [429] * 5
    assert len(healthy.calls("completions")) == asked


def test_a_video_that_takes_too_long_is_said_word_for_word(healthy: Provider, tmp_path: Path) -> None:
    healthy.fail("task_never_ends", endpoint="completions")
    impatient = "poll_attempts = 3\n"
    expected = guide_error("Task polling timeout exceeded")
    with running(tmp_path, healthy.configured("token-one", more=impatient)) as gateway:
        answer = native(gateway, chatType="t2v")
        assert answer.status_code == 504
        assert answer.json()["task_id"] != expected.pop("task_id")
        assert {name: answer.json()[name] for name in expected} == expected
        status = httpx.get(f"{gateway.url}/api/tasks/status/{answer.json()['task_id']}").json()
        assert status["task_status"] == "processing"


@pytest.mark.parametrize(
    ("fault", "how"),
    [
        ("cut", {"after": 9000}),
        ("cut_in_character", {}),
        ("stall", {"after": 20}),
        ("malformed_frame", {"after": 20}),
    ],
)
def test_trouble_in_mid_stream_is_one_error_frame_and_no_end(
    gateway: Running, healthy: Provider, fault: str, how: dict[str, Any]
) -> None:
    healthy.fail(fault, times=0, endpoint="completions", **how)
    for answer in (native(gateway, message=CHINESE, stream=True), openai(gateway, CHINESE, stream=True)):
        assert answer.status_code == 200
        assert "one" in answer.text
        frames = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data")]
        assert "error" in json.loads(frames[-1])
        assert sum('"error"' in frame for frame in frames) == 1
        assert not any('"finish_reason":"stop"' in frame for frame in frames)
    for answer in (native(gateway, message=CHINESE), openai(gateway, CHINESE)):
        assert answer.status_code in (502, 504), answer.text


def test_a_slow_provider_is_only_slow(gateway: Running, healthy: Provider) -> None:
    healthy.fail("slow", times=0, endpoint="completions", head_seconds=0.5, seconds=0.02)
    for answer in (native(gateway, message="Count to 30"), openai(gateway, "Count to 30")):
        assert answer.json()["choices"][0]["message"]["content"].endswith("29, 30")
