"""Who is measured: something that takes OpenAI-shaped requests and forwards them to the mock provider."""

import http.client
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from subprocess import Popen
from typing import Literal, Protocol

import msgspec

from tests.bench.machine import CONTESTANT_CORE, FOLDER, free_port, spawn, stopping

__all__ = [
    "Contestant",
    "Direct",
    "Launch",
    "NeverAnsweredError",
    "Nginx",
    "Running",
    "Wire",
    "ask",
    "await_answer",
    "run_contestant",
    "run_folder",
]

Wire = Literal["chat", "images", "native", "videos"]
"""A group of routes: `chat`, `images`, or the gateway's own API over the Qwen chat wire, texts or videos."""

_PATIENCE = 90.0
_PROBE = '{"model":"bench","messages":[{"role":"user","content":"hello"}]}'


class NeverAnsweredError(RuntimeError):
    """A contestant was started and did not answer in time, or ended."""


class Launch(msgspec.Struct, frozen=True):
    """A command line and its surroundings."""

    argv: Sequence[str | Path]
    env: Mapping[str, str] = {}


class Running(msgspec.Struct, frozen=True):
    """A contestant that answers; `pid` is None where there is no process of its own."""

    name: str
    port: int
    headers: Sequence[str]
    pid: int | None
    ready_seconds: float


class Contestant(Protocol):
    """One row of a comparison."""

    name: str
    wires: frozenset[Wire]

    def available(self) -> bool:
        """Whether it is installed here."""
        ...

    def headers(self, mock_port: int) -> Sequence[str]:
        """Request headers that it needs."""
        ...

    def launch(self, port: int, mock_port: int, folder: Path) -> Launch | None:
        """How to start it on `port`, with its files in `folder`; None when the mock itself is meant."""
        ...


class Direct:
    """No gateway at all: the load goes to the mock. The ceiling of the harness."""

    name = "direct"
    wires: frozenset[Wire] = frozenset({"chat", "images", "native"})

    def available(self) -> bool:
        return True

    def headers(self, mock_port: int) -> Sequence[str]:
        return ()

    def launch(self, port: int, mock_port: int, folder: Path) -> Launch | None:
        return None


class Nginx:
    """A pass-through that parses no body: what a proxy costs at least. The yardstick of every ratio."""

    name = "nginx"
    wires: frozenset[Wire] = frozenset({"chat", "images", "native"})

    def available(self) -> bool:
        return _nginx().exists()

    def headers(self, mock_port: int) -> Sequence[str]:
        return ()

    def launch(self, port: int, mock_port: int, folder: Path) -> Launch | None:
        (folder / "nginx.conf").write_text(_NGINX.format(port=port, mock_port=mock_port, folder=folder))
        return Launch([_nginx(), "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"])


@contextmanager
def run_contestant(contestant: Contestant, mock_port: int, label: str) -> Iterator[Running]:
    """Start a contestant and yield it once it has answered a request."""
    folder = run_folder(label, contestant.name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "log").unlink(missing_ok=True)
    port, started = free_port(), time.monotonic()
    headers = contestant.headers(mock_port)
    launch = contestant.launch(port, mock_port, folder)
    if launch is None:
        yield Running(contestant.name, mock_port, headers, None, 0.0)
        return
    process = spawn(launch.argv, CONTESTANT_CORE, log=folder / "log", env=launch.env, cwd=folder)
    with stopping(process):
        await_answer(process, port, headers, folder / "log")
        yield Running(contestant.name, port, headers, process.pid, time.monotonic() - started)


def run_folder(label: str, name: str) -> Path:
    """Where a contestant works and keeps its log."""
    return FOLDER / "run" / label / name


def ask(port: int, headers: Sequence[str], path: str, body: str) -> tuple[int, bytes]:
    """One POST of JSON to 127.0.0.1; the status and the body of the answer."""
    fields = dict(line.split(": ", 1) for line in headers)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", path, body, {"content-type": "application/json", **fields})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def await_answer(process: Popen[bytes], port: int, headers: Sequence[str], log: Path) -> None:
    """Wait until a started process answers; raises `NeverAnsweredError`."""
    deadline = time.monotonic() + _PATIENCE
    while not _answers(port, headers):
        if process.poll() is not None or time.monotonic() > deadline:
            raise NeverAnsweredError(f"{process.args!r} did not answer; see {log}")
        time.sleep(0.005)


def _answers(port: int, headers: Sequence[str]) -> bool:
    try:
        status, _ = ask(port, headers, "/v1/chat/completions", _PROBE)
    except (OSError, http.client.HTTPException):
        return False
    return status == 200


def _nginx() -> Path:
    return Path("/usr/sbin/nginx")


_NGINX = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr error;
worker_rlimit_nofile 65536;
events {{ worker_connections 65536; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    keepalive_timeout 600s;
    keepalive_requests 1000000000;
    upstream mock {{
        server 127.0.0.1:{mock_port};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        client_max_body_size 64m;
        client_body_buffer_size 1m;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
            proxy_read_timeout 600s;
        }}
    }}
}}
"""
