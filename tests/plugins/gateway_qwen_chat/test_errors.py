"""Every form in which the provider says no."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.generation.errors import (
    AccountError,
    AccountRejected,
    BurstLimited,
    ChatBusy,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    InvalidAnswer,
    InvalidRequest,
    NotFound,
    RateLimited,
    RequestError,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
    VerificationRequired,
)
from gateway.plugin_api import Answer
from gateway_qwen_chat.errors import ParentMissing, find_complaint, find_error, scrub

LIMIT = {
    "success": False,
    "request_id": "r",
    "data": {
        "code": "RateLimited",
        "details": "You've reached the upper limit for today's usage.",
        "template": "Wait {{num}} hours.",
        "num": 4,
    },
}
PUNISH = {
    "ret": ["FAIL_SYS_USER_VALIDATE", "RGV587_ERROR::SM::please wait"],
    "data": {"url": "https://example.test/_____tmd_____/punish?x5secdata=1"},
}


def refusal(code: str, details: str = "") -> dict:
    return {"success": False, "data": {"code": code, "details": details}}


def answer(body: object, status: int = 200, media_type: str = "application/json", **headers: str) -> Answer:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, {"content-type": media_type, **named}, content)


HTML = b"\n <!DOCTYPE html><html><head><title>Verification</title></head></html>"
NGINX = b"<html><head><title>504 Gateway Time-out</title></head></html>"

CASES = [
    (answer(LIMIT), RateLimited),
    (answer(LIMIT, 429), RateLimited),
    (answer(LIMIT["data"]), RateLimited),
    (answer({"code": "RateLimited", "detail": "x"}), RateLimited),
    (answer(b"data: " + json.dumps(LIMIT).encode() + b"\n\n", 429), RateLimited),
    (answer({"success": False, "code": "RateLimited", "data": {}}), RateLimited),
    (answer(refusal("Odd", "You've reached the upper limit for today's usage.")), RateLimited),
    (answer(refusal("Too_Many_Requests")), BurstLimited),
    (answer(b"slow down", 429, "text/plain"), BurstLimited),
    (answer({}, x_actual_status_code="429"), BurstLimited),
    (answer(refusal("Unauthorized", "401 Unauthorized")), AccountRejected),
    (answer(b"", 401), AccountRejected),
    (answer({"detail": "Token has expired"}), AccountRejected),
    (answer({"detail": "no"}, 403), AccountRejected),
    (answer(PUNISH), VerificationRequired),
    (answer(PUNISH, media_type="text/event-stream"), VerificationRequired),
    (answer(HTML, media_type="text/html"), VerificationRequired),
    (answer(HTML, media_type="application/json"), VerificationRequired),
    (answer(HTML, 403, "text/html"), VerificationRequired),
    (answer(b"", 302, location="https://example.test/_____tmd_____/punish?a=1"), VerificationRequired),
    (answer(b"", 302, location="https://example.test/login"), InvalidAnswer),
    (answer(NGINX, 504, "text/html"), UpstreamUnavailable),
    (answer(NGINX, 502, "text/html"), UpstreamUnavailable),
    (answer(b"oops", 500, "text/plain"), UpstreamUnavailable),
    (answer(b"", 408), UpstreamTimeout),
    (answer(refusal("Bad_Request", "The chat is in progress!")), ChatBusy),
    (answer(refusal("Bad_Request", "Chat 1234 is not exist")), NotFound),
    (answer(refusal("CHAT_NOT_FOUND")), NotFound),
    (answer(refusal("Not_Found", "Task not found"), x_actual_status_code="404"), NotFound),
    (answer({"detail": "Not Found"}, 404), NotFound),
    (answer(refusal("Bad_Request", "parent_id 1234 is not exist")), ParentMissing),
    (answer(refusal("Bad_Request", "internal error, please try again")), UpstreamUnavailable),
    (answer({"error": "Internal error!"}), UpstreamUnavailable),
    (answer({"error": {"code": "internal_error", "details": "x"}}), UpstreamUnavailable),
    (
        answer(refusal("RequestValidationError", "Field 'chat_id': required"), x_actual_status_code="400"),
        InvalidRequest,
    ),
    (answer(refusal("Bad_Request", "Invalid file information!")), InvalidRequest),
    (answer({"error": {"code": "invalid_input"}}), InvalidRequest),
    (answer(b"{}", 422), InvalidRequest),
    (answer(refusal("data_inspection_failed")), ContentRefused),
    (answer({"data_inspection_failed": True}), ContentRefused),
    (answer({"error": {"code": "ContextLengthExceeded"}}), ContextTooLong),
    (answer(refusal("SomethingNew", "?")), UpstreamError),
    (answer({"success": False}), UpstreamError),
    (answer(b"teapot", 418), UpstreamError),
]


@pytest.mark.parametrize(("refused", "expected"), CASES)
def test_a_refusal_is_told_apart(refused: Answer, expected: type[GatewayError]) -> None:
    error = find_error(refused)
    assert type(error) is expected
    assert error.sent is isinstance(error, UpstreamError)
    assert isinstance(error, UpstreamError | AccountError | RequestError)


@pytest.mark.parametrize(
    "accepted",
    [
        answer({"success": True, "data": {"id": "x"}}),
        answer({"id": "x", "object": "list", "data": []}),
        answer({"ret": ["SUCCESS::ok"], "data": {}}),
        answer({"chat_type": "t2v", "task_status": "running", "message": "", "content": ""}),
        answer({"success": True, "code": "OK", "data": {}}),
        answer({"success": True}, x_actual_status_code="200"),
        answer({"success": True}, x_actual_status_code="banana"),
        answer({"success": True}, media_type="text/html"),
    ],
)
def test_a_success_is_no_error(accepted: Answer) -> None:
    assert find_error(accepted) is None


@pytest.mark.parametrize(
    ("num", "seconds"),
    [
        (4, 14400.0),
        ("2", 7200.0),
        (0.5, 1800.0),
        (0, None),
        (-3, None),
        (None, None),
        ("soon", None),
        ("1e400", None),
    ],
)
def test_the_hours_of_a_daily_limit_are_the_servers_word(num: object, seconds: float | None) -> None:
    error = find_error(answer(json.dumps({"code": "RateLimited", "detail": "x", "num": num}).encode()))
    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


def test_a_retry_after_header_counts_where_the_body_names_no_time() -> None:
    assert find_error(answer(LIMIT, 429, retry_after="9")).retry_after == 14400
    assert find_error(answer(refusal("RateLimited"), 429, retry_after="9")).retry_after == 9
    assert find_error(answer(b"", 429, retry_after="9")).retry_after == 9


def test_a_daily_limit_keeps_the_providers_sentence() -> None:
    assert find_error(answer(LIMIT)).message == "You've reached the upper limit for today's usage."


@pytest.mark.parametrize("code", ["Bad_Request", "Unauthorized", "Odd", "<script>", "data_inspection_failed"])
def test_no_message_repeats_what_may_be_secret(code: str) -> None:
    error = find_complaint(json.dumps(refusal(code, "prompt: my secret, https://x.test/?key=k")).encode())
    assert "secret" not in error.message
    assert "key" not in error.message
    assert "<" not in error.message


def test_quoted_sentences_are_scrubbed() -> None:
    quoted = refusal("RateLimited", "Wait!\nSee https://example.test/a?key=k now. " + "x" * 500)
    message = find_complaint(json.dumps(quoted).encode()).message
    assert message.startswith("Wait! See (link) now. xxx")
    assert len(message) == 300
    assert scrub("short") == "short"


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["success", "data", "code", "details", "error", "ret", "num", "detail", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(_json | st.binary(max_size=40), st.integers(200, 599), st.sampled_from(["200", "404", "x", ""]))
def test_any_answer_is_a_success_or_one_of_our_errors(body: object, status: int, actual: str) -> None:
    error = find_error(answer(body, status, x_actual_status_code=actual))
    assert error is None or isinstance(error, GatewayError)
    assert error is not None or status < 300
