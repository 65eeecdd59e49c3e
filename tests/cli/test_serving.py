"""`gateway serve`: what wins over what, how it ends, and refusals in one line."""

import os
import re
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli.running import GATEWAY, clean_environment, run

HERE = {"GATEWAY_STATE__URL": "memory://"}


@contextmanager
def gateway_process(*args: str, cwd: Path, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `gateway serve`; yields the process and its URL."""
    process = subprocess.Popen(
        [GATEWAY, *args],
        cwd=cwd,
        env=clean_environment(**HERE | variables),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "http://" in line)
        yield process, re.findall(r"http://[^\s\"]+", line)[0]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@pytest.mark.parametrize("args", [("serve", "--port", "0"), ()])
def test_it_serves_with_and_without_the_word(args: tuple[str, ...], tmp_path: Path) -> None:
    with (
        gateway_process(*args, cwd=tmp_path, GATEWAY_SERVER__PORT="0") as (_, url),
        urllib.request.urlopen(f"{url}/livez") as answer,
    ):
        assert answer.status == 200


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    in_file, in_environment, in_flag = free_port(), free_port(), free_port()
    config = tmp_path / "gateway.toml"
    config.write_text(f"[server]\nport = {in_file}\n")
    with gateway_process("serve", cwd=tmp_path) as (_, url):
        assert url.endswith(f":{in_file}")
    variable = {"GATEWAY_SERVER__PORT": str(in_environment)}
    with gateway_process("serve", cwd=tmp_path, **variable) as (_, url):
        assert url.endswith(f":{in_environment}")
    with gateway_process("serve", "--port", str(in_flag), cwd=tmp_path, **variable) as (_, url):
        assert url.endswith(f":{in_flag}")


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_closes_the_gateway_and_is_exit_code_0(signal_number: int, tmp_path: Path) -> None:
    state = {"GATEWAY_STATE__URL": "sqlite:///gateway.db"}
    with gateway_process("serve", "--port", "0", cwd=tmp_path, **state) as (process, _):
        assert (tmp_path / "gateway.db-wal").exists()
        process.send_signal(signal_number)
        assert process.wait(10) == 0
    assert not (tmp_path / "gateway.db-wal").exists(), "the state was not closed"


KEYED = '[[auth.keys]]\nname = "a"\nkey = "sk-0123456789"\n'
REFUSALS = [
    ("[server]\nprot = 1", {}, "server.port"),
    ("[server]\nworkers = 2", {}, "server.workers"),
    ('[server]\nhost = "0.0.0.0"', {}, "gateway keys create"),
    ('[upstreams.a]\nkind = "qwen_caht"', {}, "qwen_chat"),
    ("", {"GATEWAY_STATE__URL": "sqlite:////proc/nowhere/gateway.db"}, "/proc/nowhere/gateway.db"),
    ("", {"GATEWAY_STATE__URL": "cassandra://x"}, "state.url"),
    ("", {"GATEWAY_SERVR__PORT": "1"}, "did you mean server"),
    ("", {"GATEWAY_PLUGINS__LOAD": '["t2x"]'}, "plugins.load"),
    ("", {"GATEWAY_STATE__URL__X": "1"}, "url is not a table"),
    (KEYED, {"GATEWAY_SERVER__HOST": "no.such.host.invalid"}, "no.such.host.invalid"),
    (KEYED, {"GATEWAY_SERVER__HOST": "192.0.2.1"}, "choose another with --host"),
    (KEYED, {"GATEWAY_SERVER__HOST": "fe80::1"}, "fe80::1"),
    ('[upstreams.box]\nkind = "sandbox"\npath = "/proc/x.db"\n', {}, "upstreams.box"),
    ("", {"GATEWAY_MEDIA__STORE": "bogus://x"}, "media.store"),
]


@pytest.mark.parametrize(("toml", "variables", "word"), REFUSALS)
def test_what_cannot_be_served_is_one_line_and_exit_code_2(
    toml: str, variables: dict[str, str], word: str, tmp_path: Path
) -> None:
    (tmp_path / "gateway.toml").write_text(toml)
    answer = run("serve", "--port", "0", cwd=tmp_path, **HERE | variables)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.count("\n") == 1, answer.stderr
    assert word in answer.stderr


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_taken_port_is_one_line_and_exit_code_2(tmp_path: Path, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as taken:
        port = taken.getsockname()[1]
        answer = run("serve", "--port", str(port), cwd=tmp_path, **HERE)
    assert answer.returncode == 2
    assert f"port {port}" in answer.stderr
    assert answer.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_unwritable_folder_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    answer = run("serve", "--port", "0", cwd=tmp_path, GATEWAY_STATE__URL="sqlite:///gateway.db")
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)
