"""Conversations of many callers over shared accounts never meet, whatever fails on the way."""

import asyncio
import random
from collections import Counter, defaultdict

import pytest

from gateway_sandbox.journal import Entry
from tests.faults.fleet import Fleet, configure, fleet
from tests.faults.provider import Provider, provider, user_id
from tests.state.valkey_process import ALWAYS, ValkeyProcess

pytestmark = pytest.mark.anyio

ACCOUNTS = ("a", "b", "c")
TURNS = 5
LANES = 24
TRIES = 40
FILMS = 6
RESTED = 3.0
"""Seconds after which an account that was too fast may be used again."""
FAULTS = (
    "server_error",
    "gateway_timeout",
    "internal_error",
    "error_frame",
    "empty_body",
    "created_only",
    "cut",
    "lost_answer",
    "burst_limit",
    "chat_in_progress",
)
SHARE_OF_FAULTS = 0.04
TABLES = "[deadlines]\nfirst_event = 3.0\nqueue = 20.0"


class Talk:
    """One caller's conversation, and what went wrong in it."""

    def __init__(self, number: int) -> None:
        self.secret = f"Number {number} is {random.randrange(10**9)}."
        self.chat_id = ""
        self.turn = 0
        self.failures: Counter[int] = Counter()

    async def go_on(self, gateways: Fleet, rng: random.Random) -> None:
        """Say the next thing, as often as it takes, each time to any of the gateways."""
        for _ in range(TRIES):
            if await self._try(gateways, rng):
                self.turn += 1
                return
            await asyncio.sleep(0.05 + rng.random() * 0.3)
        raise AssertionError(f"turn {self.turn} failed again and again: {self.failures}")

    async def _try(self, gateways: Fleet, rng: random.Random) -> bool:
        said = {"message": "What was the first thing I said?" if self.turn else self.secret}
        if self.chat_id:
            said["chatId"] = self.chat_id
        answer = await rng.choice(gateways.clients).post("/api/chat", json=said)
        if answer.status_code != 200:
            assert answer.status_code in (429, 502, 503, 504), answer.text
            self.failures[answer.status_code] += 1
            return False
        body = answer.json()
        assert self.chat_id in ("", body["chatId"])
        self.chat_id = body["chatId"]
        if self.turn:
            assert self.secret in body["choices"][0]["message"]["content"], "somebody else's memory"
        return True

    async def film(self, gateways: Fleet, rng: random.Random) -> None:
        """Have a film made in this chat, watched from any of the gateways."""
        order = {"message": "a boat", "chatType": "t2v", "chatId": self.chat_id, "waitForCompletion": False}
        ordered = await rng.choice(gateways.clients).post("/api/chat", json=order)
        assert ordered.status_code == 200, ordered.text
        status = "pending"
        while status in ("pending", "processing"):
            await asyncio.sleep(0.2)
            path = f"/api/tasks/status/{ordered.json()['task_id']}"
            status = (await rng.choice(gateways.clients).get(path)).json()["status"]
        assert status == "completed"


@pytest.fixture
def valkey(tmp_path):
    server = ValkeyProcess(tmp_path / "valkey", **ALWAYS)
    yield server
    server.kill()


@pytest.mark.parametrize("talks", [24, pytest.param(500, marks=pytest.mark.slow)])
async def test_no_conversation_ever_meets_another_account_or_another_memory(tmp_path, valkey, capsys, talks):
    rng = random.Random(talks)
    many = [Talk(number) for number in range(talks)]

    async with (
        provider(tmp_path) as qwen,
        fleet(tmp_path, configure(qwen.url, ACCOUNTS, state=valkey.url, tables=TABLES), 2) as gateways,
    ):
        await script(qwen, rng, talks)
        await hold_all(gateways, many, rng)
        await qwen.heal()
        await asyncio.sleep(RESTED)
        await asyncio.gather(*(talk.film(gateways, rng) for talk in many[:FILMS]))
        films = {task["id"]: task["owner"] for task in await qwen.tasks()}
        entries = await qwen.journal()
    failures = sum((talk.failures for talk in many), Counter())
    struck = sum(bool(entry.fault) for entry in entries)
    with capsys.disabled():
        print(
            f"\n{talks} conversations, {len(entries)} calls, {struck} faults, refusals seen: {dict(failures)}"
        )
    assert struck > talks * TURNS * SHARE_OF_FAULTS / 2
    expect_no_foreign_pair(entries)
    assert len(films) == FILMS
    watched = [entry for entry in entries if entry.task_id]
    assert watched
    assert all(films[entry.task_id] == entry.account for entry in watched)
    assert {entry.account for entry in entries if entry.endpoint == "media"} <= {""}, "a token left its site"
    users = {user_id(f"token-{name}") for name in ACCOUNTS}
    assert {entry.account for entry in entries if entry.endpoint != "media"} == users


async def script(qwen: Provider, rng: random.Random, talks: int) -> None:
    """Let faults strike here and there, over the whole test."""
    calls = talks * TURNS
    for _ in range(int(calls * SHARE_OF_FAULTS)):
        kind = rng.choice(FAULTS)
        await qwen.strike(kind, times=1, endpoint="completions", skip=rng.randrange(calls), after=600)


async def hold_all(gateways: Fleet, many: list[Talk], rng: random.Random) -> None:
    """Hold all conversations, their turns in random order."""
    lanes = asyncio.Semaphore(LANES)

    async def hold(talk: Talk) -> None:
        for _ in range(TURNS):
            await asyncio.sleep(rng.random() * len(many) / 100)
            async with lanes:
                await talk.go_on(gateways, rng)

    await asyncio.gather(*map(hold, many))


def expect_no_foreign_pair(entries: list[Entry]) -> None:
    """See that every chat was used with one account's token, and no cookie with another's."""
    users = defaultdict(set)
    for entry in entries:
        if entry.chat_id:
            users[entry.chat_id].add(entry.account)
        assert entry.cookies.get("acw_tc", entry.account) == entry.account
    assert {len(accounts) for accounts in users.values()} == {1}
