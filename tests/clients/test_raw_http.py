"""What no client library sends: broken bodies, odd paths, requests in pieces."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.process import FAST_SANDBOX, Running, running

CHAT = b'{"model": "qwen3-max", "messages": [{"role": "user", "content": "Ping"}]}'
MESSAGE = b'{"message": "Ping"}'
JSON = "content-type: application/json"
CHUNKED = "transfer-encoding: chunked"
ORIGIN = "https://app.example"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    toml = f'{FAST_SANDBOX}\n[server]\ncors_origins = ["{ORIGIN}"]\n'
    with running(tmp_path_factory.mktemp("gateway"), toml) as gateway:
        yield gateway


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


def request(line: str, body: bytes = b"", *headers: str) -> bytes:
    """Write a request that ends its connection; a body gets its length unless the headers say it."""
    declared = any(header.startswith(("content-length", "transfer-encoding")) for header in headers)
    length = () if declared or not body else (f"content-length: {len(body)}",)
    head = "\r\n".join([f"{line} HTTP/1.1", "host: gateway", "connection: close", *headers, *length, "", ""])
    return head.encode() + body


def send(gateway: Running, *pieces: bytes, pause: float = 0.0) -> bytes:
    """Send the pieces and return all that comes back until the gateway closes."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def parse(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return Answer(int(status.split()[1]), headers, body)


def ask(gateway: Running, line: str, body: bytes = b"", *headers: str) -> Answer:
    return parse(send(gateway, request(line, body, *headers)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b'{"message": "\xff", "messages": []}',
        b'{"message": "\\ud800", "messages": []}',
        b'{"message": "a", "messages": [], "temperature": NaN}',
        b'{"message": "a", "messages": [], "n": 1e400}',
        b'{"message": "a", "messages": [], "n": ' + b"9" * 5000 + b"}",
        b'{"message": "a", "message": "b"}',
        b'{"message": {"a": 1}, "messages": {"a": 1}}',
        b"[" * 200_000,
        b'{"message": ' * 100_000,
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
@pytest.mark.parametrize(
    "path", ["/api/chat", "/v1/chat/completions", "/v1/images/generations", "/v1/videos"]
)
def test_a_broken_body_is_the_clients_fault(gateway: Running, path: str, body: bytes) -> None:
    answer = ask(gateway, f"POST {path}", body, JSON)
    assert answer.status == 400
    error = json.loads(answer.body)["error"]
    if path == "/api/chat":
        assert isinstance(error, str)
    else:
        assert sorted(error) == ["code", "message", "param", "type"]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET //v1/models/", 200),
        ("GET /v1//models", 200),
        ("GET /v1/models/qwen3%2Dmax", 200),
        ("GET http://elsewhere/v1/models", 200),
        ("HEAD /v1/models", 200),
        ("HEAD /livez", 200),
        ("HEAD /readyz", 200),
        ("GET /v1/models?limit=%ff&limit", 200),
        ("GET /v1/models/vendor%2Fmodel", 404),
        ("GET /v1/models/vendor%2Fmodel%00", 404),
        ("GET /v1/videos/%ff%fe", 404),
        ("GET /v1/files/..%2f..%2fgateway.db/content", 404),
        ("GET /media/..%2f..%2fgateway.db", 404),
        ("GET /media/%2e%2e/gateway.db", 404),
        ("GET /api/tasks/status/%00", 404),
        ("GET /%zz", 404),
        ("GET /v1/chat/completions", 405),
        ("DELETE /api/chat", 405),
        ("POST /livez", 405),
    ],
)
def test_odd_paths_and_methods(gateway: Running, line: str, status: int) -> None:
    answer = ask(gateway, line)
    assert answer.status == status
    if not line.startswith("HEAD"):
        assert json.loads(answer.body)
        assert answer.headers["x-request-id"]
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "content_type", [(), ("content-type: text/plain",), ("content-type: ;;=,",), (JSON + "; charset=utf-8",)]
)
def test_a_chat_is_json_whatever_its_content_type_says(
    gateway: Running, content_type: tuple[str, ...]
) -> None:
    assert ask(gateway, "POST /v1/chat/completions", CHAT, *content_type).status == 200
    assert ask(gateway, "POST /api/chat", MESSAGE, *content_type).status == 200


def test_a_form_must_be_one(gateway: Running) -> None:
    form = "content-type: multipart/form-data"
    assert ask(gateway, "POST /v1/videos", b"a=b", form).status == 400
    assert ask(gateway, "POST /v1/videos", b"a=b", f"{form}; boundary=x").status == 400
    assert ask(gateway, "POST /api/files/upload", CHAT, JSON).status == 415


def test_a_body_in_pieces(gateway: Running) -> None:
    head = request("POST /v1/chat/completions", b"", JSON, f"content-length: {len(CHAT)}")
    slow = send(gateway, head, *(CHAT[at : at + 10] for at in range(0, len(CHAT), 10)), pause=0.05)
    chunks = [b"1\r\n%c\r\n" % byte for byte in CHAT]
    chunked = send(gateway, request("POST /v1/chat/completions", b"", JSON, CHUNKED), *chunks, b"0\r\n\r\n")
    for answer in (parse(slow), parse(chunked)):
        assert json.loads(answer.body)["choices"][0]["message"]["content"] == "pong"


def test_a_client_that_waits_for_a_word_before_its_body(gateway: Running) -> None:
    head = request(
        "POST /v1/chat/completions", b"", JSON, f"content-length: {len(CHAT)}", "expect: 100-continue"
    )
    answer = send(gateway, head, CHAT, pause=0.2)
    interim, _, final = answer.partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 100 Continue"
    assert parse(final).status == 200


def test_requests_in_one_packet_are_answered_in_order(gateway: Running) -> None:
    chat = request("POST /v1/chat/completions", CHAT).replace(b"connection: close\r\n", b"")
    answers = send(gateway, chat + chat + request("GET /v1/models/qwen3-max"))
    assert answers.count(b"HTTP/1.1 200 OK") == 3
    assert answers.count(b"pong") == 2
    assert answers.endswith(b'"owned_by":"qwen"}')


@pytest.mark.parametrize(
    "headers",
    [
        ("content-length: 5", CHUNKED),
        ("content-length: 5", "content-length: 6"),
        ("content-length: -5",),
        ("transfer-encoding: gzip",),
    ],
)
def test_a_body_of_doubtful_length_is_refused(gateway: Running, headers: tuple[str, ...]) -> None:
    assert ask(gateway, "POST /v1/chat/completions", CHAT, JSON, *headers).status == 400


def test_a_body_that_is_declared_too_large_is_not_waited_for(gateway: Running) -> None:
    answer = ask(gateway, "POST /v1/chat/completions", CHAT, JSON, "content-length: 99999999999")
    assert answer.status == 413


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\x02\r\n\r\n", bytes.fromhex("160301020001"), b"BREW / HTTP/1.1\r\n\r\n"]
)
def test_what_is_not_http_is_refused(gateway: Running, garbage: bytes) -> None:
    assert parse(send(gateway, garbage)).status == 400


def test_an_endless_head_is_refused(gateway: Running) -> None:
    assert ask(gateway, "GET /livez", b"", f"x-filler: {'a' * 30_000}").status == 200
    pieces = [b"GET /livez HTTP/1.1\r\nx-filler: ", *[b"a" * 65536] * 16]
    assert refused(gateway, pieces)


def refused(gateway: Running, pieces: list[bytes]) -> bool:
    """Whether the gateway refuses and hangs up, which may reset a client that is still sending."""
    try:
        return parse(send(gateway, *pieces, pause=0.01)).status in (400, 431)
    except ConnectionError:
        return True


def test_a_client_that_hangs_up_leaves_nothing_behind(gateway: Running) -> None:
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    half = request("POST /v1/chat/completions", CHAT[:20], JSON, f"content-length: {len(CHAT)}")
    for sent in (b"GET", half, request("POST /v1/chat/completions", CHAT)):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(10)
            while connection.recv(65536):
                pass
    assert gateway.in_flight() == 0


def test_a_browser_asks_first(gateway: Running) -> None:
    asks = (f"origin: {ORIGIN}", "access-control-request-method: POST")
    wanted = "access-control-request-headers: authorization, content-type, x-stainless-lang"
    answer = ask(gateway, "OPTIONS /v1/chat/completions", b"", *asks, wanted)
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    allowed = answer.headers["access-control-allow-headers"]
    assert allowed == "*" or "x-stainless-lang" in allowed


def test_a_browser_may_read_the_answer(gateway: Running) -> None:
    answer = ask(gateway, "POST /v1/chat/completions", CHAT, JSON, f"origin: {ORIGIN}")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == ORIGIN
    exposed = answer.headers["access-control-expose-headers"]
    assert all(name in exposed for name in ("x-request-id", "retry-after"))
    stranger = ask(gateway, "POST /v1/chat/completions", CHAT, JSON, "origin: https://evil.example")
    assert "access-control-allow-origin" not in stranger.headers


def test_without_cors_no_origin_is_told_anything(tmp_path: Path) -> None:
    with running(tmp_path) as gateway:
        answer = ask(
            gateway, "OPTIONS /v1/models", b"", f"origin: {ORIGIN}", "access-control-request-method: GET"
        )
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("host", ["gateway.example", "127.0.0.1:8080", "[::1]:3264"])
def test_media_are_under_the_address_that_the_client_used(gateway: Running, host: str) -> None:
    body = b'{"message": "A lake", "chatType": "t2i"}'
    answer = parse(
        send(gateway, request("POST /api/chat", body).replace(b"host: gateway", f"host: {host}".encode()))
    )
    url = json.loads(answer.body)["choices"][0]["message"]["content"]
    assert url.startswith(f"http://{host}/media/")
    assert ask(gateway, f"GET {url}").body.startswith(b"\x89PNG")
