"""A changed configuration, taken over by a gateway that serves."""

import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from gateway.config import ConfigError
from tests.process import FAST_SANDBOX, Running, running
from tests.serving import Served, serving_gateway, settings_in

pytestmark = pytest.mark.anyio

OLD, NEW = "sk-old-0123456789", "sk-new-0123456789"


def key_row(name: str, key: str) -> str:
    return f'[[auth.keys]]\nname = "{name}"\nkey = "{key}"\nadmin = true\n'


def accounts(*ids: str, more: str = "", kind: str = "sandbox") -> str:
    rows = ", ".join(f'{{ id = "{one}", token = "token-{one}" }}' for one in ids)
    return f'[upstreams.box]\nkind = "{kind}"\naccounts = [{rows}]\n{more}'


BEFORE = accounts("a", "b") + key_row("alice", OLD)


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    async with serving_gateway(settings_in(tmp_path, BEFORE)) as gateway:
        yield gateway


async def account_ids(served: Served, key: str = OLD) -> set[str]:
    async with httpx.AsyncClient(base_url=served.url, headers={"x-api-key": key}) as client:
        answer = await client.get("/api/status")
        return {one["account"] for one in answer.raise_for_status().json()["accounts"]}


async def test_accounts_come_and_go(served: Served, tmp_path: Path) -> None:
    waiting = served.gateway.reload.apply(settings_in(tmp_path, accounts("b", "c") + key_row("alice", OLD)))
    assert (list(waiting), await account_ids(served)) == ([], {"b", "c"})


async def test_keys_come_and_go(served: Served, tmp_path: Path) -> None:
    served.gateway.reload.apply(settings_in(tmp_path, accounts("a") + key_row("alice", NEW)))
    assert await account_ids(served, NEW) == {"a"}
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        await account_ids(served, OLD)


@pytest.mark.parametrize(
    ("toml", "sections"),
    [
        (BEFORE + "[server]\nport = 1\n[models]\ndefault = 'x'\n", ["server", "models"]),
        (accounts("a", more="seed = 5\n") + key_row("alice", OLD), ["upstreams.box"]),
        (BEFORE + '[upstreams.more]\nkind = "sandbox"\n', ["upstreams.more"]),
        (BEFORE.replace("upstreams.box", "upstreams.other"), ["upstreams.box", "upstreams.other"]),
    ],
)
async def test_what_waits_for_a_restart_is_named(
    served: Served, tmp_path: Path, toml: str, sections: list[str]
) -> None:
    assert served.gateway.reload.apply(settings_in(tmp_path, toml)) == sections


@pytest.mark.parametrize(
    "toml",
    [
        "",
        accounts("c"),
        key_row("alice", NEW),
        accounts("c") + '[[auth.keys]]\nname = "alice"\nkey_file = "/nowhere"\n',
        accounts("c") + key_row("alice", NEW) + key_row("bob", NEW),
    ],
)
async def test_what_cannot_be_used_changes_nothing(served: Served, tmp_path: Path, toml: str) -> None:
    with pytest.raises(ConfigError):
        served.gateway.reload.apply(settings_in(tmp_path, toml))
    assert await account_ids(served, OLD) == {"a", "b"}


async def test_the_account_of_an_upstream_that_is_gone_serves_nobody(served: Served, tmp_path: Path) -> None:
    served.gateway.reload.apply(
        settings_in(tmp_path, '[upstreams.c]\nkind = "sandbox"\n' + key_row("alice", OLD))
    )
    assert await account_ids(served) == set()


async def test_the_embedded_sandbox_keeps_its_account(tmp_path: Path) -> None:
    async with serving_gateway(settings_in(tmp_path)) as served:
        assert list(served.gateway.reload.apply(settings_in(tmp_path, "[tasks]\nttl_hours = 1\n"))) == [
            "tasks"
        ]
        assert await account_ids(served) == {"sandbox"}


# ------------------------------------------------------------------ a process, its file and its signals


def within_a_second(holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + 1.0
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def status(gateway: Running, key: str) -> httpx.Response:
    return httpx.get(f"{gateway.url}/api/status", headers={"x-api-key": key})


def reloaded(gateway: Running) -> bool:
    return "gateway_config_last_reload_successful 1.0" in httpx.get(f"{gateway.url}/metrics").text


@pytest.mark.parametrize("replace", [True, False])
def test_a_changed_file_is_in_effect_within_a_second(tmp_path: Path, replace: bool) -> None:
    config = tmp_path / "gateway.toml"
    with running(tmp_path, FAST_SANDBOX + key_row("alice", OLD)) as gateway:
        assert status(gateway, OLD).status_code == 200
        target = tmp_path / "next.toml" if replace else config
        target.write_text(FAST_SANDBOX.replace('id = "one"', 'id = "two"') + key_row("alice", NEW))
        if replace:
            target.rename(config)
        assert within_a_second(lambda: status(gateway, NEW).status_code == 200)
        assert status(gateway, OLD).status_code == 401
        assert {one["account"] for one in status(gateway, NEW).json()["accounts"]} == {"two"}


def test_a_changed_secret_file_is_in_effect_within_a_second(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(OLD)
    row = f'[[auth.keys]]\nname = "alice"\nkey_file = "{secret}"\nadmin = true\n'
    with running(tmp_path, FAST_SANDBOX + row) as gateway:
        assert status(gateway, OLD).status_code == 200
        secret.write_text(NEW)
        assert within_a_second(lambda: status(gateway, NEW).status_code == 200)


def test_a_broken_file_changes_nothing_and_shows_in_the_metrics_until_it_is_mended(tmp_path: Path) -> None:
    good = FAST_SANDBOX + key_row("alice", OLD)
    config = tmp_path / "gateway.toml"
    with running(tmp_path, good) as gateway:
        assert reloaded(gateway)
        config.write_text("not = [toml")
        assert within_a_second(lambda: not reloaded(gateway))
        assert status(gateway, OLD).status_code == 200
        assert "config_reload_failed" in gateway.logged()
        config.write_text(good)
        assert within_a_second(lambda: reloaded(gateway))


def test_sighup_reloads_an_unchanged_file(tmp_path: Path) -> None:
    with running(tmp_path, FAST_SANDBOX) as gateway:
        gateway.process.send_signal(signal.SIGHUP)
        assert within_a_second(lambda: "config_reloaded" in gateway.logged())
        assert httpx.get(f"{gateway.url}/livez").status_code == 200
