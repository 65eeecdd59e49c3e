"""Twenty accounts of which one lives: callers notice little, and the operator learns why."""

import asyncio
import time
from collections import Counter

import pytest

from tests.faults.fleet import Fleet, configure, fleet, status_of
from tests.faults.provider import Provider, provider, user_id

pytestmark = pytest.mark.anyio

CHAT = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hello"}]}
DIALECTS = {"openai": ("/v1/chat/completions", CHAT), "native": ("/api/chat", {"message": "hello"})}

REFUSALS = {
    "unauthorized_401": ("", "invalid"),
    "unauthorized": ("", "invalid"),
    "forbidden": ("", "invalid"),
    "daily_limit": ("t2t", "cooling"),
    "daily_limit_429": ("t2t", "cooling"),
    "daily_limit_flat": ("t2t", "cooling"),
    "daily_limit_frame": ("t2t", "cooling"),
    "burst_limit": ("t2t", "cooling"),
    "captcha_json": ("", "needs_attention"),
    "captcha_html": ("", "needs_attention"),
}
"""What a provider says to one account, and what that makes of it: in which respect, and which state."""
NO_FIRST_CALL = {"daily_limit_frame"}
"""Only an answer is a stream."""
DEAD = [
    (kind, endpoint)
    for endpoint in ("completions", "")
    for kind in REFUSALS
    if endpoint or kind not in NO_FIRST_CALL
]

FAULTS = (
    "server_error",
    "gateway_timeout",
    "stall",
    "cut",
    "lost_answer",
    "empty_body",
    "created_only",
    "error_frame",
    "error_text_frame",
)
"""What goes wrong at a provider without its account being to blame."""
IMPATIENT = "[deadlines]\nfirst_event = 0.4\nbetween_events = 0.4"


async def ask(gateway: Fleet, dialect: str) -> int:
    path, body = DIALECTS[dialect]
    return (await gateway.client(0).post(path, json=body)).status_code


async def calls(qwen: Provider, after: int = 0) -> Counter[str]:
    """Count the calls that the provider received, by its user ids."""
    entries = await qwen.journal(after)
    return Counter(entry.account for entry in entries if entry.endpoint in ("chats.new", "completions"))


@pytest.mark.parametrize("dialect", DIALECTS)
async def test_whatever_nineteen_accounts_refuse_the_first_request_is_served_by_the_twentieth(
    tmp_path, dialect
):
    names = [f"dead{number}" for number in range(len(DEAD))]
    async with provider(tmp_path) as qwen, fleet(tmp_path, configure(qwen.url, [*names, "live"])) as gateway:
        for name, (kind, endpoint) in zip(names, DEAD, strict=True):
            await qwen.strike(kind, f"token-{name}", endpoint=endpoint)

        assert await ask(gateway, dialect) == 200

        received = await calls(qwen)
        for name, (_, endpoint) in zip(names, DEAD, strict=True):
            assert received[user_id(f"token-{name}")] <= (2 if endpoint else 1), "each is asked once"
        before = await qwen.last()
        # Together: an account that was only too fast may be asked again in two seconds.
        answers = await asyncio.gather(*(ask(gateway, dialect) for _ in range(20)))
        assert set(answers) == {200}
        assert set(await calls(qwen, before)) == {user_id("token-live")}
        await expect_reasons(gateway, names)


async def expect_reasons(gateway: Fleet, names: list[str]) -> None:
    """See that the status names a reason for every account that was asked, and no secret."""
    status = await status_of(gateway.client(0))
    for name, (kind, _) in zip(names, DEAD, strict=True):
        respect, state = REFUSALS[kind]
        known = status[name, respect]
        if status[name, ""]["failures"] + status[name, "t2t"]["failures"]:
            assert (known["state"], bool(known["reason"])) == (state, True), (name, kind, known)
    assert "token-" not in (await gateway.client(0).get("/api/status")).text


async def test_one_odd_failure_puts_no_account_out_of_use(tmp_path):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, FAULTS, tables=IMPATIENT)) as gateway,
    ):
        for kind in FAULTS:
            await qwen.strike(kind, f"token-{kind}", times=1, endpoint="completions", after=0)
        await asyncio.gather(*(ask(gateway, "openai") for _ in range(40)))
        status = await status_of(gateway.client(0))
        for kind in FAULTS:
            assert status[kind, "t2t"]["state"] == "ok", kind
            assert status[kind, "t2t"]["failures"] == 1, kind
        assert {await ask(gateway, "openai") for _ in range(len(FAULTS))} == {200}


@pytest.mark.parametrize("body", [{"message": "hello"}, {"message": "hello", "stream": True}])
@pytest.mark.parametrize("accounts", [["a"], ["a", "b"]])
async def test_a_chat_that_is_not_made_in_time_holds_no_account(tmp_path, accounts, body):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, accounts, tables=IMPATIENT)) as gateway,
    ):
        await qwen.strike("stall", endpoint="chats.new", times=1)
        begun = time.perf_counter()
        answer = await gateway.client(0).post("/api/chat", json=body)
        assert time.perf_counter() - begun < 3
        assert answer.status_code == (504 if len(accounts) == 1 else 200), answer.text
        assert all(known["in_flight"] == 0 for known in (await status_of(gateway.client(0))).values())
        assert len(await qwen.journal(endpoint="completions")) == len(accounts) - 1
        assert await ask(gateway, "native") == 200


async def test_accounts_that_keep_failing_are_left_alone_after_a_few_times(tmp_path, capsys):
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, [*FAULTS, "live"], tables=IMPATIENT)) as gateway,
    ):
        for kind in FAULTS:
            await qwen.strike(kind, f"token-{kind}", endpoint="completions")
        answers = []
        while await is_one_in_use(gateway):
            answers += await asyncio.gather(*(ask(gateway, "openai") for _ in range(4)))
            assert len(answers) < 200
        before = await qwen.last()
        assert {await ask(gateway, "openai") for _ in range(10)} == {200}
        assert set(await calls(qwen, before)) == {user_id("token-live")}
        received = Counter(entry.account for entry in await qwen.journal(endpoint="completions"))
        for kind in FAULTS:
            assert received[user_id(f"token-{kind}")] <= 8, kind
    with capsys.disabled():
        print(f"\n{len(FAULTS)} of {len(FAULTS) + 1} accounts fail: {dict(Counter(answers))} until all rest")


async def test_a_film_waits_until_its_account_is_let_in_again(tmp_path):
    quick = "[tasks]\npoll_interval_seconds = 0.2"
    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ["a", "b"], tables=quick)) as gateway,
    ):
        await qwen.strike("unauthorized_401", endpoint="task")
        order = {"message": "a boat", "chatType": "t2v", "waitForCompletion": False}
        film = (await gateway.client(0).post("/api/chat", json=order)).json()["task_id"]
        await asyncio.sleep(3)
        assert await film_status(gateway, film) in ("pending", "processing")
        assert await qwen.journal(endpoint="task", fault="unauthorized_401")
        await qwen.heal()
        end = time.monotonic() + 60
        while (status := await film_status(gateway, film)) != "completed":
            assert time.monotonic() < end, status
            await asyncio.sleep(0.2)
        assert len(await qwen.tasks()) == 1


async def film_status(gateway: Fleet, film: str) -> str:
    status: str = (await gateway.client(0).get(f"/api/tasks/status/{film}")).json()["status"]
    return status


async def is_one_in_use(gateway: Fleet) -> bool:
    status = await status_of(gateway.client(0))
    return any(status.get((kind, "t2t"), {"state": "ok"})["state"] == "ok" for kind in FAULTS)
