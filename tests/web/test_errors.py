"""Errors keep their status, take the shape of the API that was called, and say whether to come back."""

import httpx
import pytest

from gateway.generation.errors import (
    GatewayError,
    InvalidRequest,
    NoUsableAccount,
    RangeNotSatisfiable,
    RateLimited,
    Unauthorized,
)
from gateway.web.errors import error_headers
from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

CHAT = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hi"}]}
FORM = "multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("error", "headers"),
    [
        (RateLimited("later", retry_after=0.2), {b"retry-after": b"1"}),
        (RateLimited("later", retry_after=61.1), {b"retry-after": b"62"}),
        (NoUsableAccount("none"), {b"x-should-retry": b"false"}),
        (Unauthorized("who?"), {b"www-authenticate": b"Bearer"}),
        (RangeNotSatisfiable(7), {b"content-range": b"bytes */7"}),
        (RangeNotSatisfiable(None), {}),
        (InvalidRequest("no"), {}),
        (GatewayError("broken"), {}),
    ],
)
def test_headers_tell_whether_to_come_back(error, headers):
    assert dict(error_headers(error)) == headers


@pytest.mark.parametrize(
    ("method", "path", "options", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/v1/nowhere", {}, 404),
        ("GET", "/api/nowhere", {}, 404),
        ("PUT", "/v1/models", {}, 405),
        ("OPTIONS", "/v1/models", {}, 405),
        ("PATCH", "/v1/videos/x", {"content": b"{}"}, 405),
        ("POST", "/livez", {}, 405),
        ("POST", "/v1/chat/completions", {"content": b"{"}, 400),
        ("POST", "/v1/chat/completions", {"content": b"\xff\xfe"}, 400),
        ("POST", "/v1/chat/completions", {"content": b"[" * 100_000}, 400),
        ("POST", "/v1/chat/completions", {"content": b""}, 400),
        ("POST", "/v1/chat/completions", {"content": b"--x--", "headers": {"content-type": FORM}}, 415),
        ("POST", "/v1/chat/completions", {"json": CHAT | {"model": "nobody"}}, 404),
        (
            "POST",
            "/v1/chat/completions",
            {"json": CHAT, "headers": {"x-stainless-retry-count": b"\xb2"}},
            200,
        ),
        (
            "POST",
            "/v1/chat/completions",
            {"json": CHAT, "headers": {"x-stainless-retry-count": "9" * 5000}},
            200,
        ),
        ("POST", "/v1/files", {"json": {}}, 415),
        ("POST", "/v1/files", {"content": b"junk", "headers": {"content-type": FORM}}, 400),
        ("POST", "/v1/files", {"content": b"", "headers": {"content-type": "multipart/form-data"}}, 400),
        ("POST", "/api/chat", {"json": {"message": "hi", "chatType": "t2x"}}, 400),
        ("POST", "/api/chat", {"json": {"message": "hi", "unheard": 1}}, 400),
        ("POST", "/api/chat", {"json": {"message": "hi", "chatId": "../../x"}}, 404),
        ("POST", "/api/chat", {"json": {"message": "hi", "parentId": "x"}}, 404),
        ("POST", "/api/chats", {"json": {"model": "nobody"}}, 404),
        ("POST", "/api/chats", {"json": {"chatType": "t2x"}}, 400),
        ("POST", "/api/admin/keys/revoke", {"content": b"{"}, 400),
        ("POST", "/v1/videos/none/remix", {"json": {"prompt": "x"}}, 404),
        ("GET", "/api/tasks?status=done", {}, 400),
        ("GET", "/api/tasks?limit=0", {}, 400),
        ("GET", "/api/tasks?limit=\u00b2", {}, 400),
        ("GET", "/api/tasks?order=up", {}, 400),
        ("GET", "/api/tasks?after=%ff%00", {}, 200),
        ("GET", "/api/tasks/status/%00", {}, 404),
        ("GET", "/api/tasks/status/%ed%a0%80", {}, 404),
        ("GET", "/api/tasks/status/%0d%0ax:y", {}, 404),
        ("GET", "/api/tasks/events/none", {}, 404),
        ("GET", "/v1/models/a%2Fb", {}, 404),
        ("GET", "/media/%2e%2e%2fgateway.db", {}, 404),
        ("GET", f"/media/{'0' * 32}.png", {}, 404),
        ("GET", "/media/x.png\x00".replace("\x00", "%00"), {}, 404),
    ],
)
async def test_bad_input_gets_its_status_in_the_right_shape(client, method, path, options, status):
    answer = await client.request(method, path, **options)
    assert answer.status_code == status, answer.text
    assert len(answer.headers["x-request-id"]) == 32
    assert answer.headers["content-type"] == "application/json"
    if status != 200:
        error = answer.json()["error"]
        assert isinstance(error, dict if path.startswith("/v1") else str)
    if status == 405:
        assert answer.headers["allow"]


async def test_a_body_over_the_limit_is_refused_by_word_and_in_fact(tmp_path):
    settings = settings_in(tmp_path, GATEWAY_SERVER__MAX_BODY_MB="1")

    async def endless():
        for _ in range(40):
            yield b"x" * 65_536

    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        for content in (b"x" * (2**20 + 1), endless()):
            answer = await client.post("/v1/chat/completions", content=content)
            assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_large")
            assert answer.headers["x-request-id"]


async def test_a_wrong_key_is_told_how_to_come_in(tmp_path):
    settings = settings_in(tmp_path, '[[auth.keys]]\nname = "alice"\nkey = "sk-alice-secret"')
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        for headers in (
            {},
            {"authorization": "Bearer sk-wrong"},
            {"x-api-key": "x"},
            {"authorization": "Basic x"},
        ):
            answer = await client.get("/v1/models", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert "sk-" not in answer.text
        assert (await client.get("/v1/models", headers={"x-api-key": "sk-alice-secret"})).status_code == 200


async def test_scripts_of_allowed_origins_may_call(tmp_path):
    settings = settings_in(
        tmp_path,
        '[server]\ncors_origins = ["https://app.example"]\n'
        '[[auth.keys]]\nname = "alice"\nkey = "sk-alice-secret"',
    )
    asked = {
        "origin": "https://app.example",
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization, content-type, x-stainless-lang",
    }
    async with serving_gateway(settings) as served, httpx.AsyncClient(base_url=served.url) as client:
        preflight = await client.options("/v1/chat/completions", headers=asked)
        assert preflight.status_code in (200, 204)
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        allowed = preflight.headers["access-control-allow-headers"].lower()
        assert all(name in allowed for name in ("authorization", "content-type", "x-stainless-lang"))
        assert preflight.headers["x-request-id"]
        refused = await client.get("/v1/models", headers={"origin": "https://app.example"})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "https://app.example"
        assert "x-request-id" in refused.headers["access-control-expose-headers"]
        stranger = await client.options("/v1/models", headers=asked | {"origin": "https://evil.example"})
        assert stranger.headers.get("access-control-allow-origin") != "https://evil.example"
