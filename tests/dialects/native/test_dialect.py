import json
from typing import Any

import pytest

from gateway.generation.errors import (
    AllAccountsLimited,
    GatewayError,
    InvalidRequest,
    NotFound,
    PollTimeout,
    QuotaExhausted,
    RateLimited,
    TaskIdMissing,
)
from tests.dialects.cases import NATIVE, call


def refusal(body: Any, path: str = "/api/chat") -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        NATIVE.decode(call(NATIVE, path, body))
    return caught.value


def error(error: GatewayError) -> Any:
    return json.loads(NATIVE.encode_error(error, "req-1"))


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "message"),
        ({"message": None}, "message"),
        ({"message": ""}, "message"),
        ({"message": []}, "message"),
        ({"message": "hi", "messages": [{"role": "user", "content": "hi"}]}, "message"),
        ({"messages": []}, "messages"),
        ({"message": 1}, "message"),
        ({"message": "hi", "chatType": 2}, "chatType"),
        ({"message": "hi", "chat_type": 2}, "chatType"),
        ({"message": "hi", "n": 11}, "n"),
        ({"message": "hi", "n": 0}, "n"),
        ({"message": "hi", "waitForCompletion": "no"}, "waitForCompletion"),
        ({"message": "hi", "chatId": "a", "chat_id": "b"}, "chatId"),
        ({"message": [{"type": "image", "image": 3}]}, "message[0].image"),
        ({"message": "hi", "files": [{"id": 4}]}, "files[0]"),
        ({"message": "hi", "files": ["f", {}]}, "files[1]"),
        ({"message": "hi", "files": [{"file": "x"}]}, "files[0].file"),
        ({"message": "hi", "temperature": 3}, "temperature"),
    ],
)
def test_the_field_at_fault_is_named(body: Any, param: str):
    assert refusal(body).param == param


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("chatTyp", "chatType"),
        ("wait_for_completon", "waitForCompletion"),
        ("sise", "size"),
        ("max_token", "max_tokens"),
    ],
)
def test_an_unknown_field_is_refused_with_the_nearest_known_one(name: str, nearest: str):
    refused = refusal({"message": "hi", name: 1})
    assert refused.param == name
    assert repr(nearest) in refused.message


def test_a_field_like_no_other_is_refused_without_a_guess():
    assert "did you mean" not in refusal({"message": "hi", "z" * 1_000_000: 1}).message


def test_a_chat_may_begin_with_nothing_and_refuses_what_it_does_not_know():
    assert NATIVE.decode(call(NATIVE, "/api/chats", b"")).chat_type == "t2t"
    assert refusal({"title": "x"}, "/api/chats").param == "title"


def test_the_three_documented_errors_are_word_for_word():
    limited = error(RateLimited("You've reached the upper limit for today's usage."))
    assert limited["error"] == "RateLimited"
    assert limited["detail"] == "You've reached the upper limit for today's usage."
    assert limited["code"] == "rate_limited"
    timeout = error(PollTimeout("The task goes on.", task_id="task-1"))
    assert timeout["error"] == "Task polling timeout exceeded"
    assert (timeout["status"], timeout["task_id"]) == ("timeout", "task-1")
    assert error(TaskIdMissing("no id"))["error"] == "Task ID not found in response"


@pytest.mark.parametrize("limited", [AllAccountsLimited("Wait."), QuotaExhausted("No money.")])
def test_every_limit_has_the_documented_word(limited: GatewayError):
    assert error(limited)["error"] == "RateLimited"


def test_other_errors_say_a_sentence_and_a_code():
    assert error(NotFound("Task not found")) == {
        "error": "Task not found",
        "detail": "Task not found",
        "code": "not_found",
        "request_id": "req-1",
    }
    assert error(InvalidRequest("Too big", param="n"))["param"] == "n"
