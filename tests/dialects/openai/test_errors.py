import json

import pytest

from gateway.dialects.openai.errors import encode_error
from gateway.generation.errors import (
    AllAccountsLimited,
    AmbiguousSubmit,
    ContentRefused,
    ContextTooLong,
    Forbidden,
    GatewayError,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    QuotaExhausted,
    TooLarge,
    Unauthorized,
    UpstreamTimeout,
)


@pytest.mark.parametrize(
    ("error", "kind", "code", "param"),
    [
        (InvalidRequest("x"), "invalid_request_error", None, None),
        (InvalidRequest("x", param="n"), "invalid_request_error", "invalid_value", "n"),
        (ContentRefused("x"), "invalid_request_error", "content_policy_violation", None),
        (ContextTooLong("x"), "invalid_request_error", "context_length_exceeded", None),
        (Unauthorized("x"), "invalid_request_error", "invalid_api_key", None),
        (Forbidden("x"), "permission_error", "forbidden", None),
        (NotFound("x"), "invalid_request_error", "not_found", None),
        (ModelNotFound("x"), "invalid_request_error", "model_not_found", "model"),
        (TooLarge("x"), "invalid_request_error", "too_large", None),
        (AllAccountsLimited("x"), "rate_limit_error", "rate_limit_exceeded", None),
        (QuotaExhausted("x"), "insufficient_quota", "insufficient_quota", None),
        (UpstreamTimeout("x"), "server_error", "upstream_timeout", None),
    ],
)
def test_types_and_codes_are_those_that_sdks_look_at(
    error: GatewayError, kind: str, code: str | None, param: str | None
):
    expected = {"message": "x", "type": kind, "param": param, "code": code}
    assert json.loads(encode_error(error)) == {"error": expected}


def test_an_error_about_a_task_names_it():
    error = AmbiguousSubmit("lost", task_id="0123", sent=True)
    assert json.loads(encode_error(error))["error"]["task_id"] == "0123"
