"""Talking to a running gateway: whom the key is sent to, and answers that are none."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from gateway.cli.problems import Problem
from gateway.cli.remote import Remote
from tests.cli.running import run

KEY = "sk-canary-0123456789"


class Site(ThreadingHTTPServer):
    """Answers every path with what `answers` has for it: status, headers, body."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}
        self.keys: list[str | None] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("authorization"))
        status, headers, body = self.server.answers[self.path]
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving_site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def site() -> Iterator[Site]:
    with serving_site() as server:
        yield server


@pytest.fixture
def other() -> Iterator[Site]:
    with serving_site() as server:
        yield server


def test_the_key_goes_to_the_gateway_and_to_nobody_else(site: Site, other: Site) -> None:
    site.answers = {"/a": (200, {}, b"{}"), "/b": (302, {"location": f"{other.url}/x"}, b"")}
    other.answers = {"/x": (200, {}, b"{}")}
    gateway = Remote(site.url, KEY)
    gateway.get("/a")
    assert gateway.download(f"{site.url}/a") == b"{}"
    gateway.get("/b")
    assert gateway.download(f"{other.url}/x") == b"{}"
    assert set(site.keys) == {f"Bearer {KEY}"}
    assert other.keys == [None, None]


def test_an_address_that_only_begins_like_the_gateways_gets_no_key(site: Site) -> None:
    site.answers = {"/a": (200, {}, b"")}
    Remote(site.url[:-1], KEY).download(f"{site.url}/a")
    assert site.keys == [None]


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>", "is no gateway"),
        (500, b"<html>", "500: no explanation"),
        (404, b'{"error": "Task not found", "detail": "Task not found"}', "404: Task not found"),
        (429, b'{"error": "RateLimited", "detail": "later"}', "429: RateLimited: later"),
        (401, b'{"error": {"message": "no key"}}', "401: no key"),
        (400, b'{"error": 1}', "400: no explanation"),
        (400, b"[]", "400: no explanation"),
    ],
)
def test_a_bad_answer_is_a_problem(site: Site, status: int, body: bytes, words: str) -> None:
    site.answers = {"/a": (status, {}, body)}
    with pytest.raises(Problem, match=words) as caught:
        Remote(site.url, KEY).get("/a")
    assert caught.value.exit_code == 1
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "data:,x", ""])
def test_nothing_but_http_is_downloaded(site: Site, url: str) -> None:
    with pytest.raises(Problem, match="not an address"):
        Remote(site.url).download(url)


def test_a_proxy_is_not_asked_for_this_machine(site: Site) -> None:
    site.answers = {"/livez": (200, {}, b"{}")}
    answer = run("healthcheck", "--url", site.url, http_proxy="http://127.0.0.1:9", no_proxy="")
    assert answer.returncode == 0, answer.stderr
