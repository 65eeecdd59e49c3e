"""Commands that talk to a running gateway: accounts, keys, models, tasks, health."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.running import run
from tests.process import FAST_SANDBOX, Running, running

ROOT, GUEST = "sk-root-0123456789", "sk-guest-0123456789"
KEYS = f"""
[[auth.keys]]
name = "root"
key = "{ROOT}"
admin = true
[[auth.keys]]
name = "guest"
key = "{GUEST}"
"""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), FAST_SANDBOX + KEYS) as found:
        yield found


def ask(gateway: Running, *args: str, key: str = ROOT) -> subprocess.CompletedProcess[str]:
    return run(*args, GATEWAY_URL=gateway.url, GATEWAY_KEY=key)


def read(gateway: Running, *args: str, key: str = ROOT) -> Any:
    return json.loads(ask(gateway, *args, "--json", key=key).stdout)


def chat(gateway: Running, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {ROOT}"}
    return httpx.post(f"{gateway.url}/api/chat", json={"message": "hi", **body}, headers=headers, timeout=30)


def test_models_are_listed_for_programs_and_for_people(gateway: Running) -> None:
    names = [model["id"] for model in read(gateway, "models")]
    assert "qwen-max-latest" in names
    printed = ask(gateway, "models")
    assert printed.returncode == 0
    assert all(name in printed.stdout for name in names)


def test_a_disabled_account_serves_nobody_within_a_second_until_it_is_enabled(gateway: Running) -> None:
    assert chat(gateway).status_code == 200
    assert ask(gateway, "accounts", "disable", "sandbox", "one").returncode == 0
    changed = time.monotonic()
    while (refused := chat(gateway)).status_code == 200 and time.monotonic() - changed < 1:
        time.sleep(0.02)
    assert refused.status_code == 503
    assert {one["state"] for one in read(gateway, "accounts", "list") if not one["chat_type"]} == {"disabled"}
    assert ask(gateway, "accounts", "enable", "sandbox", "one").returncode == 0
    changed = time.monotonic()
    while (served := chat(gateway)).status_code != 200 and time.monotonic() - changed < 1:
        time.sleep(0.02)
    assert served.status_code == 200


def test_an_account_is_tested_at_its_provider(gateway: Running) -> None:
    outcome = read(gateway, "accounts", "test", "sandbox", "one")
    assert outcome["models"] > 0
    assert outcome["error"] == ""


@pytest.mark.parametrize("verb", ["disable", "enable", "test"])
def test_an_unknown_account_is_exit_code_1(gateway: Running, verb: str) -> None:
    answer = ask(gateway, "accounts", verb, "sandbox", "nobody")
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "nobody" in answer.stderr


OPERATORS = [
    ("accounts", "list"),
    ("accounts", "disable", "sandbox", "one"),
    ("accounts", "test", "sandbox", "one"),
    ("keys", "list"),
    ("keys", "revoke", "root"),
]


@pytest.mark.parametrize("args", OPERATORS)
def test_operators_commands_need_an_admin_key(gateway: Running, args: tuple[str, ...]) -> None:
    for key in (GUEST, "sk-wrong-0123456789", ""):
        answer = ask(gateway, *args, key=key)
        assert (answer.returncode, answer.stdout) == (1, "")
        assert answer.stderr.count("\n") == 1
    assert chat(gateway).status_code == 200


def test_a_key_is_revoked_and_restored(gateway: Running) -> None:
    assert ask(gateway, "models", key=GUEST).returncode == 0
    assert ask(gateway, "keys", "revoke", "guest").returncode == 0
    assert ask(gateway, "models", key=GUEST).returncode == 1
    assert [one["key"]["name"] for one in read(gateway, "keys", "list") if one["revoked"]] == ["guest"]
    assert ask(gateway, "keys", "restore", "guest").returncode == 0
    assert ask(gateway, "models", key=GUEST).returncode == 0


def test_tasks_are_listed_and_shown_and_a_provider_may_refuse_to_cancel(gateway: Running) -> None:
    done = chat(gateway, chatType="t2v").json()["task_id"]
    assert [one["task_id"] for one in read(gateway, "tasks", "list", "--status", "completed")] == [done]
    assert done in ask(gateway, "tasks", "list").stdout
    assert json.loads(ask(gateway, "tasks", "get", done).stdout)["status"] == "completed"
    begun = chat(gateway, chatType="t2v", waitForCompletion=False).json()["task_id"]
    refused = ask(gateway, "tasks", "cancel", begun)
    assert refused.returncode == 1
    assert "cannot cancel" in refused.stderr


@pytest.mark.parametrize("task_id", ["nope", "../../livez", "a/b?c"])
def test_an_unknown_task_is_exit_code_1(gateway: Running, task_id: str) -> None:
    answer = ask(gateway, "tasks", "get", task_id)
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (1, "", 1)


def test_health_is_0_with_a_gateway_and_1_without(gateway: Running) -> None:
    assert ask(gateway, "healthcheck").returncode == 0
    assert ask(gateway, "healthcheck", "--ready").returncode == 0
    assert run("healthcheck", "--url", "http://127.0.0.1:9").returncode == 1


def test_nobody_at_the_address_is_one_line_and_exit_code_2() -> None:
    answer = run("models", "--url", "http://127.0.0.1:9")
    assert (answer.returncode, answer.stdout, answer.stderr.count("\n")) == (2, "", 1)
    assert run("models", "--url", "gateway.toml").returncode == 2


def test_without_a_url_the_gateway_of_the_configuration_is_asked(gateway: Running, tmp_path: Path) -> None:
    port = gateway.url.rpartition(":")[2]
    (tmp_path / "gateway.toml").write_text(f"[server]\nport = {port}\n")
    assert run("models", cwd=tmp_path, GATEWAY_KEY=ROOT).returncode == 0
