"""A changed configuration, taken over by a gateway that serves."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

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


async def status_of(served: Served) -> dict[str, Any]:
    async with httpx.AsyncClient(base_url=served.url, headers={"x-api-key": OLD}) as client:
        found: dict[str, Any] = (await client.get("/api/status")).json()
        return found


async def chat(served: Served, key: str = OLD, **body: Any) -> httpx.Response:
    said = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "Hello"}], **body}
    async with httpx.AsyncClient(base_url=served.url, headers={"x-api-key": key}, timeout=20) as client:
        return await client.post("/v1/chat/completions", json=said)


async def test_accounts_come_and_go(served: Served, tmp_path: Path) -> None:
    waiting = await served.gateway.reload.apply(
        settings_in(tmp_path, accounts("b", "c") + key_row("alice", OLD))
    )
    assert (list(waiting), await account_ids(served)) == ([], {"b", "c"})


async def test_keys_come_and_go(served: Served, tmp_path: Path) -> None:
    await served.gateway.reload.apply(settings_in(tmp_path, accounts("a") + key_row("alice", NEW)))
    assert await account_ids(served, NEW) == {"a"}
    with pytest.raises(httpx.HTTPStatusError, match="401"):
        await account_ids(served, OLD)


@pytest.mark.parametrize(
    ("toml", "sections"),
    [
        (BEFORE, []),
        (
            BEFORE + "[server]\nport = 1\ndrain_seconds = 1\nmax_body_mb = 1\n",
            ["server.port", "server.drain_seconds"],
        ),
        (BEFORE + '[metrics]\nport = 1\n[log]\nlevel = "debug"\n', ["metrics.port", "log.level"]),
        (BEFORE + '[plugins]\nload = ["sandbox"]\n[models]\ndefault = "x"\n', ["plugins.load"]),
    ],
)
async def test_what_waits_for_a_restart_is_named(
    served: Served, tmp_path: Path, toml: str, sections: list[str]
) -> None:
    assert await served.gateway.reload.apply(settings_in(tmp_path, toml)) == sections
    assert (await status_of(served))["restart_needed"] == sections


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
        await served.gateway.reload.apply(settings_in(tmp_path, toml))
    assert await account_ids(served, OLD) == {"a", "b"}


async def test_an_upstream_that_is_gone_takes_its_accounts_along(served: Served, tmp_path: Path) -> None:
    await served.gateway.reload.apply(
        settings_in(tmp_path, '[upstreams.c]\nkind = "sandbox"\n' + key_row("alice", OLD))
    )
    assert await account_ids(served) == {"default"}


async def test_the_embedded_sandbox_keeps_its_account(tmp_path: Path) -> None:
    async with serving_gateway(settings_in(tmp_path)) as served:
        assert await served.gateway.reload.apply(settings_in(tmp_path, "[tasks]\nttl_hours = 1\n")) == []
        assert await account_ids(served) == {"sandbox"}


async def test_only_a_restart_leaves_the_embedded_sandbox(tmp_path: Path) -> None:
    async with serving_gateway(settings_in(tmp_path)) as served:
        toml = accounts("a") + '[routes]\nt2t = ["box"]\n'
        assert await served.gateway.reload.apply(settings_in(tmp_path, toml)) == ["upstreams"]
        assert await account_ids(served) == {"sandbox"}
        assert (await chat(served, "none")).status_code == 200


# ------------------------------------------------------------------ everything else


async def test_models_and_their_other_names_come_and_go(served: Served, tmp_path: Path) -> None:
    assert (await chat(served, model="mine")).status_code == 404
    more = '[models]\ndefault = "qwen-plus-latest"\n[models.aliases]\nmine = "qwen-max-latest"\n'
    await served.gateway.reload.apply(settings_in(tmp_path, BEFORE + more))
    assert (await chat(served, model="mine")).json()["model"] == "mine"
    async with httpx.AsyncClient(base_url=served.url, headers={"x-api-key": OLD}) as client:
        answer = await client.post("/api/chat", json={"chatType": "t2t", "message": "Hi", "stream": False})
        assert answer.json()["model"] == "qwen-plus-latest"


async def test_upstreams_and_routes_come_and_go(served: Served, tmp_path: Path) -> None:
    more = (
        '[upstreams.more]\nkind = "sandbox"\npath = "{}"\naccounts = [{{ id = "x", token = "t" }}]\n'
        '[routes]\nt2t = ["more"]\n'
    ).format(tmp_path / "more.db")
    await served.gateway.reload.apply(settings_in(tmp_path, BEFORE + more))
    assert (await chat(served)).status_code == 200
    lines = (await status_of(served))["accounts"]
    assert {line["upstream"] for line in lines if line["requests"]} == {"more"}
    await served.gateway.reload.apply(settings_in(tmp_path, BEFORE))
    assert (await status_of(served))["upstreams"] == ["box"]
    assert (await chat(served)).status_code == 200


async def test_the_options_of_an_upstream_are_taken_over(served: Served, tmp_path: Path) -> None:
    slow = BEFORE.replace('kind = "sandbox"\n', 'kind = "sandbox"\nfirst_token_seconds = 30.0\n')
    short = "[deadlines]\nbetween_events = 0.5\n"
    await served.gateway.reload.apply(settings_in(tmp_path, slow + short))
    assert (await chat(served)).status_code == 504
    await served.gateway.reload.apply(settings_in(tmp_path, BEFORE))
    assert (await chat(served)).status_code == 200


async def test_limits_and_origins_are_taken_over(served: Served, tmp_path: Path) -> None:
    assert (await chat(served, padding="x" * 2**20)).status_code == 200
    more = '[server]\nmax_body_mb = 1\ncors_origins = ["https://a.example"]\n'
    await served.gateway.reload.apply(settings_in(tmp_path, BEFORE + more))
    assert (await chat(served, padding="x" * 2**20)).status_code == 413
    async with httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.get("/livez", headers={"origin": "https://a.example"})
        assert answer.headers["access-control-allow-origin"] == "https://a.example"


async def test_webhooks_are_taken_over(served: Served, tmp_path: Path) -> None:
    told = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        writer.close()
        told.set()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        row = f'webhook_url = "http://127.0.0.1:{port}/"\nwebhook_secret = "s"\n'
        fast = BEFORE.replace('kind = "sandbox"\n', 'kind = "sandbox"\nvideo_seconds = 0.1\n')
        await served.gateway.reload.apply(settings_in(tmp_path, fast + row))
        async with httpx.AsyncClient(base_url=served.url, headers={"x-api-key": OLD}) as client:
            made = await client.post("/v1/videos", json={"prompt": "waves"}, timeout=20)
            assert made.status_code == 200
        async with asyncio.timeout(15):
            await told.wait()


async def test_poll_settings_are_taken_over(served: Served, tmp_path: Path) -> None:
    more = "[tasks]\npoll_attempts = 1\n"
    slow = BEFORE.replace('kind = "sandbox"\n', 'kind = "sandbox"\nvideo_seconds = 20.0\n')
    settings = settings_in(tmp_path, slow + more, GATEWAY_TASKS__POLL_INTERVAL_SECONDS="0.2")
    await served.gateway.reload.apply(settings)
    async with httpx.AsyncClient(base_url=served.url, headers={"x-api-key": OLD}, timeout=20) as client:
        body = {"chatType": "t2v", "message": "waves", "waitForCompletion": True, "stream": False}
        answer = await client.post("/api/chat", json=body)
        assert (answer.status_code, answer.json()["code"]) == (504, "poll_timeout")


async def test_what_is_under_way_ends_as_it_began(tmp_path: Path) -> None:
    slow = BEFORE.replace('kind = "sandbox"\n', 'kind = "sandbox"\ntokens_per_second = 20.0\n')
    async with (
        serving_gateway(settings_in(tmp_path, slow)) as served,
        httpx.AsyncClient(base_url=served.url, headers={"x-api-key": OLD}, timeout=20) as client,
    ):
        said = [{"role": "user", "content": "Hello"}]
        body = {"model": "qwen-max-latest", "messages": said, "stream": True}
        async with client.stream("POST", "/v1/chat/completions", json=body) as answer:
            pieces = answer.aiter_text()
            text = await anext(pieces)
            other = accounts("c", more="seed = 5\n").replace("upstreams.box", "upstreams.other")
            await served.gateway.reload.apply(settings_in(tmp_path, other + key_row("alice", NEW)))
            async for piece in pieces:
                text += piece
        assert text.endswith("data: [DONE]\n\n")
        assert (await chat(served, NEW)).status_code == 200


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


def test_what_needs_a_restart_is_logged(tmp_path: Path) -> None:
    with running(tmp_path, FAST_SANDBOX) as gateway:
        (tmp_path / "gateway.toml").write_text(FAST_SANDBOX + '[log]\nlevel = "debug"\n')
        assert within_a_second(lambda: "config_needs_restart" in gateway.logged())
        assert "log.level" in gateway.logged()


def test_sighup_reloads_an_unchanged_file(tmp_path: Path) -> None:
    with running(tmp_path, FAST_SANDBOX) as gateway:
        gateway.process.send_signal(signal.SIGHUP)
        assert within_a_second(lambda: "config_reloaded" in gateway.logged())
        assert httpx.get(f"{gateway.url}/livez").status_code == 200
