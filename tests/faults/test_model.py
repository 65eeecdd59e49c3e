"""A whole gateway against a model of what its callers were promised, in any order of events."""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from gateway.accounts.records import disable, enable
from gateway.config import Settings
from gateway_sandbox import SandboxServer, SandboxSettings
from tests.faults.fleet import configure
from tests.faults.opened import Opened, opened
from tests.faults.provider import Provider, user_id
from tests.serving import settings_in

T = TypeVar("T")

ACCOUNTS = ("a", "b", "c")
KEYS = ("alice", "bob")
MOST_FILMS = 2
KEY_TABLES = "".join(f'[[auth.keys]]\nname = "{name}"\nkey = "sk-{name}"\nadmin = true\n' for name in KEYS)
TABLES = f"""
{KEY_TABLES}
[deadlines]
first_event = 1.0
queue = 0.3
[tasks]
poll_interval_seconds = 0.1
"""
REFUSED = (429, 502, 503, 504)
HARMLESS = ("server_error", "empty_body", "error_frame", "cut", "lost_answer", "chat_in_progress")
TELLING = ("daily_limit", "burst_limit", "unauthorized", "captcha_json")

keys = st.sampled_from(KEYS)
accounts = st.sampled_from(ACCOUNTS)


class Talk(msgspec.Struct, frozen=True):
    """A conversation that was answered: whose it is, and what was said first."""

    owner: str
    id: str
    secret: str


class Film(msgspec.Struct, frozen=True):
    """A film that a caller was given the id of."""

    owner: str
    id: str


def token(account: str, generation: int) -> str:
    return f"token-{account}-{generation}"


class GatewayMachine(RuleBasedStateMachine):
    """Two callers, three accounts, a provider and a store that fail."""

    talks = Bundle("talks")
    films = Bundle("films")

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self._offset = 0.0
        self._said = 0
        self._generation = dict.fromkeys(ACCOUNTS, 0)
        self._orders = 0
        self._accepted: list[Film] = []

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    @initialize()
    def open(self) -> None:
        self.run(self._open())

    async def _open(self) -> None:
        pace = SandboxSettings(
            first_token_seconds=0.0, tokens_per_second=0.0, image_seconds=0.0, video_seconds=0.2
        )
        sandbox = SandboxServer(pace)
        self._url = await sandbox.start()
        self._stack.push_async_callback(sandbox.aclose)
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        serving = opened(self._settings(), clock=lambda: time.time() + self._offset)
        self.gateway: Opened = await self._stack.enter_async_context(serving)
        door = await self._stack.enter_async_context(httpx.AsyncClient(base_url=self._url, timeout=30))
        self.qwen = Provider(self._url, door)
        client = httpx.AsyncClient(base_url=self.gateway.url, timeout=30)
        self.client = await self._stack.enter_async_context(client)

    def _settings(self) -> Settings:
        toml = configure(self._url, ACCOUNTS, options="busy_waits = [0.01]", state="memory://", tables=TABLES)
        for name, generation in self._generation.items():
            toml = toml.replace(f'"token-{name}"', f'"{token(name, generation)}"')
        return settings_in(self._folder, toml, GATEWAY_STATE__URL="memory://")

    async def _give_tokens(self) -> None:
        await self.gateway.served.gateway.reload.apply(self._settings())

    # ------------------------------------------------------------------ what callers do

    @rule(target=talks, owner=keys)
    def begin(self, owner: str) -> Any:
        """A caller says something in a new chat."""
        self._said += 1
        secret = f"Word {self._said} is {self._said * 7919}."
        answer = self.post(owner, {"message": secret})
        if answer.status_code != 200:
            return self.refused(answer, None)
        return Talk(owner, answer.json()["chatId"], secret)

    @rule(talk=talks)
    def go_on(self, talk: Talk | None) -> None:
        """The caller goes on; whoever answers knows what was said, and only that."""
        if talk is None:
            return
        asked = {"message": "What was the first thing I said?", "chatId": talk.id}
        answer = self.post(talk.owner, asked)
        if answer.status_code == 200:
            assert talk.secret in answer.json()["choices"][0]["message"]["content"]
        elif answer.status_code != 404 or not any(self._generation.values()):
            self.refused(answer, None)

    @rule(talk=talks)
    def intrude(self, talk: Talk | None) -> None:
        """Another caller who knows the chat's id learns nothing."""
        if talk is None or self.gateway.store.frozen:
            return
        other = next(name for name in KEYS if name != talk.owner)
        assert self.post(other, {"message": "hello", "chatId": talk.id}).status_code == 404

    @precondition(lambda self: self._orders < MOST_FILMS)
    @rule(target=films, owner=keys)
    def order(self, owner: str) -> Any:
        """A caller orders a film."""
        self._orders += 1
        before = len(self.run(self.qwen.tasks()))
        body = {"message": f"boat {self._orders}", "chatType": "t2v", "waitForCompletion": False}
        answer = self.post(owner, body)
        if answer.status_code == 200:
            film = Film(owner, answer.json()["task_id"])
            self._accepted.append(film)
            assert len(self.run(self.qwen.tasks())) == before + 1
            return film
        if self.gateway.store.frozen:
            assert answer.json()["code"] == "storage_unavailable"
            assert len(self.run(self.qwen.tasks())) == before
        return self.refused(answer, None)

    @rule(film=films)
    def poll(self, film: Film | None) -> None:
        """A caller asks for a film: it is there, and nobody else's."""
        if film is None:
            return
        answer = self.get(film.owner, f"/api/tasks/status/{film.id}")
        if self.gateway.store.frozen:
            assert answer.status_code == 503
            return
        assert answer.json()["status"] in ("pending", "processing", "completed"), answer.text
        other = next(name for name in KEYS if name != film.owner)
        assert self.get(other, f"/api/tasks/status/{film.id}").status_code == 404

    # ------------------------------------------------------------------ what goes wrong

    @rule(account=accounts, kind=st.sampled_from(HARMLESS + TELLING))
    def strike(self, account: str, kind: str) -> None:
        """The provider answers one call of an account wrongly."""
        name = token(account, self._generation[account])
        self.run(self.qwen.strike(kind, name, times=1, endpoint="completions", after=300))

    @rule(account=accounts)
    def change_token(self, account: str) -> None:
        """The operator puts another token in, which is another user at the provider."""
        self._generation[account] = 1 - self._generation[account]
        self.run(self._give_tokens())

    @rule(account=accounts)
    def take_out(self, account: str) -> None:
        if not self.gateway.store.frozen:
            self.run(disable(self.gateway.store, "qwen", account))

    @rule(account=accounts)
    def bring_back(self, account: str) -> None:
        if not self.gateway.store.frozen:
            self.run(enable(self.gateway.store, "qwen", account))

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        self.gateway.store.frozen = frozen

    @rule(seconds=st.sampled_from([-30.0, 61.0, 3600.0, 90_000.0]))
    def jump(self, seconds: float) -> None:
        """The clock jumps, as after a suspended machine or a correction."""
        self._offset += seconds

    @rule(seconds=st.sampled_from([0.05, 0.3]))
    def wait(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    # ------------------------------------------------------------------ what always holds

    @invariant()
    def nothing_is_in_flight(self) -> None:
        self.run(self._settle())

    async def _settle(self) -> None:
        end = time.monotonic() + 3
        while self.gateway.in_flight():
            assert time.monotonic() < end, "a call is counted that nobody makes"
            await asyncio.sleep(0.01)

    @invariant()
    def nothing_met_a_foreign_account(self) -> None:
        users = {user_id(token(name, at)): (name, at) for name in ACCOUNTS for at in (0, 1)}
        met = defaultdict(set)
        for entry in self.run(self.qwen.journal()):
            if entry.chat_id and entry.account:
                met[entry.chat_id].add(users[entry.account][0])
            assert entry.cookies.get("acw_tc", entry.account) == entry.account
        assert all(len(names) == 1 for names in met.values())

    @invariant()
    def nothing_was_ordered_twice(self) -> None:
        orders = self.run(self.qwen.tasks())
        assert len(orders) <= self._orders
        assert len({order["chat_id"] for order in orders}) == len(orders)

    def teardown(self) -> None:
        try:
            if hasattr(self, "gateway"):
                self.run(self._finish())
        finally:
            self.run(self._stack.aclose())
            self._runner.close()

    async def _finish(self) -> None:
        """When everything is well again, every film that was promised is there."""
        self.gateway.store.frozen = False
        await self.qwen.heal()
        owners = {order["owner"] for order in await self.qwen.tasks()}
        for name in ACCOUNTS:
            await enable(self.gateway.store, "qwen", name)
            self._generation[name] = int(user_id(token(name, 1)) in owners)
        await self._give_tokens()
        readable = {user_id(token(name, at)) for name, at in self._generation.items()}
        lost = sum(order["owner"] not in readable for order in await self.qwen.tasks())
        end = time.monotonic() + 30
        while await self._unfinished() > lost:
            assert time.monotonic() < end, "a film that was promised never came"
            await asyncio.sleep(0.1)

    async def _unfinished(self) -> int:
        states = [
            (await self._get(film.owner, f"/api/tasks/status/{film.id}")).json()["status"]
            for film in self._accepted
        ]
        return sum(state != "completed" for state in states)

    # ------------------------------------------------------------------ HTTP

    def refused(self, answer: httpx.Response, nothing: T) -> T:
        """See that a refusal is an orderly one."""
        assert answer.status_code in REFUSED, (answer.status_code, answer.text)
        assert answer.json()["code"] != "internal_error"
        return nothing

    def post(self, owner: str, body: dict[str, Any]) -> httpx.Response:
        headers = {"authorization": f"Bearer sk-{owner}"}
        return self.run(self.client.post("/api/chat", json=body, headers=headers))

    def get(self, owner: str, path: str) -> httpx.Response:
        return self.run(self._get(owner, path))

    async def _get(self, owner: str, path: str) -> httpx.Response:
        return await self.client.get(path, headers={"authorization": f"Bearer sk-{owner}"})


@pytest.mark.parametrize("examples", [8, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.timeout(560)
def test_whatever_happens_callers_get_what_they_were_promised(examples):
    run_state_machine_as_test(
        GatewayMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
