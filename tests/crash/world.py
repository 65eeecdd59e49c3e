"""Gateways that are killed, a provider that lives on, clients that never give up, and the three lists."""

import asyncio
import random
import re
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import msgspec

from tests.process import Provider, Running, running

WORKERS = 3
_PATIENCE = 90.0
_SETTLE_PER_FILM = 5.0
_STARTS = 5
_LOST = (httpx.TransportError, httpx.HTTPStatusError)


class Answer(msgspec.Struct):
    """What a client heard in the end about one intention."""

    status: int
    task_id: str


class Replica:
    """One gateway that is started again after every death."""

    def __init__(self, folder: Path, toml: str) -> None:
        self.url = ""
        self._folder = folder
        self._toml = toml
        self._life = ExitStack()
        self._process: Running | None = None
        folder.mkdir(exist_ok=True)

    async def start(self, **environ: str) -> None:
        """Start, and again where the store was too busy to answer a new process in time."""
        for left in reversed(range(_STARTS)):
            try:
                context = running(self._folder, self._toml, **environ)
                self._process = await asyncio.to_thread(self._life.enter_context, context)
            except AssertionError:
                if not left:
                    raise
            else:
                self.url = self._process.url
                return

    async def kill(self) -> None:
        self.url = ""
        await asyncio.to_thread(self._life.close)

    async def died(self, seconds: float = 40.0) -> None:
        """Wait until the process has killed itself."""
        assert self._process is not None
        end = time.monotonic() + seconds
        while self._process.process.poll() is None:
            assert time.monotonic() < end, "the process lives on"
            await asyncio.sleep(0.02)
        self.url = ""
        self._life.close()


class World:
    """Replicas of one gateway over one store, in front of one provider."""

    def __init__(
        self, folder: Path, provider: Provider, state: str, *, replicas: int = 1, rng: random.Random
    ) -> None:
        folder.mkdir(exist_ok=True)
        self.name = folder.name
        kept = f'[state]\nurl = "{state}"\n[media]\nstore = "file://{folder}/media"\n'
        toml = provider.configured("token-a", "token-b", more=kept)
        self.provider = provider
        self.rng = rng
        self.replicas = [Replica(folder / f"replica-{at}", toml) for at in range(replicas)]
        self.answers: dict[str, Answer] = {}
        self.kills = 0
        self._client = httpx.AsyncClient(timeout=30.0)
        self._stop = asyncio.Event()

    async def run(self, kills: int, most_seconds: float = 3600.0) -> None:
        """Let clients work while gateways are killed at random times."""
        await asyncio.gather(*(replica.start() for replica in self.replicas))
        workers = [asyncio.ensure_future(self._work(f"{self.name} {at}")) for at in range(WORKERS)]
        end = time.monotonic() + most_seconds
        while self.kills < kills and time.monotonic() < end:
            await asyncio.sleep(self.rng.uniform(0.0, 0.6))
            victims = self.rng.sample(self.replicas, self.rng.randint(1, len(self.replicas)))
            await asyncio.gather(*(victim.kill() for victim in victims))
            self.kills += len(victims)
            await asyncio.gather(*(victim.start() for victim in victims))
        self._stop.set()
        await asyncio.gather(*workers)

    async def ask(self, prompt: str, *, keyed: bool = True) -> Answer:
        """Ask for one video until a gateway says how it is, as an SDK with much patience would."""
        headers = {"idempotency-key": prompt} if keyed else {}
        end = time.monotonic() + _PATIENCE
        for attempt in range(10_000):
            heard = await self._post(prompt, headers | {"x-stainless-retry-count": str(attempt)})
            if heard is not None:
                self.answers[prompt] = heard
                return heard
            assert time.monotonic() < end, f"no answer to {prompt!r}"
            await asyncio.sleep(0.05)
        raise AssertionError

    async def draw(self, prompt: str) -> dict[str, Any]:
        """Ask for a picture in the background, again and again, and return what its task comes to."""
        body = {"message": prompt, "chatType": "t2i", "async": True}
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            await asyncio.sleep(0.1)
            try:
                answer = await self._client.post(
                    f"{self._url()}/api/chat", json=body, headers={"idempotency-key": prompt}
                )
                task_id = answer.raise_for_status().json()["task_id"]
                view = (await self._client.get(f"{self._url()}/api/tasks/status/{task_id}")).json()
            except (*_LOST, httpx.UnsupportedProtocol):
                continue
            if view["status"] in ("completed", "failed"):
                return dict(view)
        raise AssertionError(f"no end of {prompt!r}")

    async def settle(self) -> list[dict[str, Any]]:
        """Wait until no task is under way that a provider has; return all tasks."""
        end = time.monotonic() + 30.0 + _SETTLE_PER_FILM * self.made().total()
        while True:
            tasks = await self.tasks()
            made = self.made()
            open_ = [task for task in tasks if task["prompt"] in made and task["status"] != "completed"]
            missing = set(made) - {task["prompt"] for task in tasks}
            if not open_ and not missing:
                return tasks
            assert time.monotonic() < end, f"never finished: {open_[:3]}; never found: {missing}"
            await asyncio.sleep(0.25)

    async def tasks(self) -> list[dict[str, Any]]:
        """Return every task that the store knows."""
        found: list[dict[str, Any]] = []
        while True:
            after = {"after": found[-1]["id"]} if found else {}
            answer = await self._client.get(f"{self._url()}/v1/videos", params={"limit": 100, **after})
            page = answer.raise_for_status().json()
            found += page["data"]
            if not page["has_more"]:
                return found

    def made(self) -> Counter[str]:
        """Return how often the provider made each of our prompts' videos, which is what was paid for."""
        made = httpx.get(f"{self.provider.url}/__sandbox__/tasks").json()
        return Counter(task["prompt"] for task in made if task["prompt"].startswith(self.name))

    async def compare(self) -> None:
        """Hold the three lists against each other: answers, the provider's, ours."""
        tasks = await self.settle()
        made = self.made()
        doubled = {prompt: count for prompt, count in made.items() if count > 1}
        ours = {task["id"]: task for task in tasks}
        assert not doubled
        assert len({task["prompt"] for task in tasks}) == len(tasks)
        for prompt, answer in self.answers.items():
            task = ours[answer.task_id]
            assert task["prompt"] == prompt
            if answer.status == 200:
                assert task["status"] == "completed", (prompt, task)
                assert made[prompt] == 1
        for task in tasks:
            assert (task["status"] == "completed") == (made[task["prompt"]] == 1), task

    async def __aenter__(self) -> "World":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()
        await asyncio.gather(*(replica.kill() for replica in self.replicas))

    def _url(self) -> str:
        return self.rng.choice([replica.url for replica in self.replicas if replica.url] or [""])

    async def _work(self, name: str) -> None:
        turn = 0
        while not self._stop.is_set():
            turn += 1
            # A film takes the provider half a second of a processor.
            await asyncio.sleep(self.rng.uniform(0.0, 1.0) * len(self.replicas))
            await self.ask(f"{name} film {turn}", keyed=self.rng.random() < 0.5)

    async def _post(self, prompt: str, headers: dict[str, str]) -> Answer | None:
        """Ask once; None where an SDK asks again."""
        url = self._url()
        if not url:
            return None
        body = {"prompt": prompt, "model": "qwen3-max"}
        try:
            answer = await self._client.post(f"{url}/v1/videos", json=body, headers=headers)
        except _LOST:
            return None
        if answer.status_code == 200:
            return Answer(200, answer.json()["id"])
        assert answer.headers.get("x-should-retry") != "false" or "create_ambiguous" in answer.text, (
            answer.text
        )
        if answer.headers.get("x-should-retry") == "false":
            return Answer(answer.status_code, _task_id(answer))
        return None


def _task_id(answer: httpx.Response) -> str:
    found = re.search(r"[0-9a-f]{32}", answer.json()["error"]["message"])
    assert found is not None, answer.text
    return found[0]
