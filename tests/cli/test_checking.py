"""`gateway check` and `gateway doctor`."""

import json
import socket
from pathlib import Path

import pytest

from tests.cli.running import run

LOCAL = '[upstreams.local]\nkind = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"\n'


def findings(*args: str, cwd: Path, **variables: str) -> tuple[int, dict[str, tuple[bool, str]]]:
    answer = run(*args, "--json", cwd=cwd, **variables)
    return answer.returncode, {one["what"]: (one["well"], one["detail"]) for one in json.loads(answer.stdout)}


def test_a_good_configuration_says_what_would_be_served_and_leaves_no_file(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(LOCAL)
    code, found = findings("check", cwd=tmp_path)
    assert code == 0
    assert "t2v" in found["plugins"][1]
    assert "local (openai_compatible, 1 accounts)" in found["upstreams"][1]
    assert [file.name for file in tmp_path.iterdir()] == ["gateway.toml"]


@pytest.mark.parametrize(
    ("toml", "what"),
    [
        ('[upstreams.a]\nkind = "nonsense"\n', "upstreams"),
        ('[upstreams.a]\nkind = "qwen_chat"\nbase_ulr = "x"\n', "upstreams"),
        ('[plugins]\nload = ["nonsense"]\n', "plugins"),
        ('[[auth.keys]]\nname = "a"\nkey_file = "/nowhere"\n', "keys"),
        ('[state]\nurl = "sqlite:////proc/nowhere/gateway.db"\n', "state"),
        ('[state]\nurl = "cassandra://x"\n', "state"),
    ],
)
def test_what_is_wrong_is_named_and_exit_code_1(toml: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(toml)
    code, found = findings("check", cwd=tmp_path)
    assert code == 1
    assert what in [name for name, (well, _) in found.items() if not well]


def test_an_unknown_setting_is_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("[sever]\nport = 1\n")
    assert run("check", cwd=tmp_path).returncode == 2


def test_the_doctor_looks_at_the_machine(tmp_path: Path) -> None:
    code, found = findings("doctor", cwd=tmp_path, GATEWAY_SERVER__PORT="0")
    assert code == 0
    assert {"port", "clock and state", "disk"} <= found.keys()


def test_the_doctor_finds_a_taken_port(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, found = findings("doctor", cwd=tmp_path, GATEWAY_SERVER__PORT=port)
    assert code == 1
    assert [name for name, (well, _) in found.items() if not well] == ["port"]


def test_the_doctor_asks_every_account_when_told(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(
        LOCAL + '[upstreams.box]\nkind = "sandbox"\naccounts = [{ id = "one", token = "t" }]\n'
    )
    code, found = findings("doctor", "--live", cwd=tmp_path, GATEWAY_SERVER__PORT="0")
    assert code == 1
    assert not found["account local/default"][0]
    assert found["account box/one"][0]
