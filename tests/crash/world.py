"""Gateways that are killed, a provider that lives on, and clients that never give up."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.crash.clients import Clients
from tests.crash.lists import Lists
from tests.crash.replicas import Replicas
from tests.process import Provider

__all__ = ["World", "open_world"]

_CLIENTS = 3
_PAUSE = 0.5
_SETTLE_SECONDS = 30.0
_SETTLE_SECONDS_PER_FILM = 1.0
_EVIDENCE = ("tasks", "journal")


class World:
    """Replicas of one gateway over one store, in front of one provider. Made by `open_world`."""

    def __init__(self, folder: Path, provider: Provider, state: str, *, replicas: int, seed: int) -> None:
        folder.mkdir(exist_ok=True)
        kept = f'[state]\nurl = "{state}"\n[media]\nstore = "file://{folder}/media"\n'
        toml = provider.configured("token-a", "token-b", more=kept)
        self.name = folder.name
        self.provider = provider
        self.seed = seed
        self.diary = folder / "diary.log"
        self.replicas = Replicas(folder, toml, replicas, seed, self.note)
        self.clients = Clients(lambda: self.replicas.urls, random.Random(f"{seed} routes"))

    def note(self, what: str) -> None:
        """Write a line for those who must find out what went wrong."""
        with self.diary.open("a") as diary:
            diary.write(f"{time.strftime('%H:%M:%S')} {what}\n")

    async def run(self, kills: int, rest: float | None = None) -> None:
        """Let clients work while gateways are killed at random times, and once more afterwards.

        Clients are waited for after the last kill, `rest` seconds if that is given: an answer may take 20 s
        where a submit is being looked for.
        """
        await asyncio.gather(*(replica.life.answers() for replica in self.replicas.all))
        async with asyncio.TaskGroup() as working:
            self.replicas.killing = True
            clients = [working.create_task(self._work(f"{self.name} {at}")) for at in range(_CLIENTS)]
            while self.replicas.deaths.killed < kills:
                await asyncio.sleep(0.05)
            self.replicas.killing = False
            await asyncio.wait(clients, timeout=rest)
            for client in clients:
                client.cancel()
        last = await self.clients.ask(f"{self.name} last film")
        assert last.status == 200, "a gateway that is left alone serves again"

    async def settle(self) -> Lists:
        """Return the lists when all is finished that the provider has, or when that takes too long."""
        end = time.monotonic() + _SETTLE_SECONDS + _SETTLE_SECONDS_PER_FILM * self.made().total()
        while (lists := await self.lists()).under_way() and time.monotonic() < end:
            await asyncio.sleep(0.5)
        return lists

    async def lists(self) -> Lists:
        """Return the three lists as they are now, each read before the one that is ahead of it."""
        answers = dict(self.clients.answers)
        tasks = await self.clients.tasks()
        return Lists(answers, self.made(), tasks)

    def made(self) -> Counter[str]:
        """Return how often the provider made each of our prompts' films, which is what was paid for."""
        made = httpx.get(f"{self.provider.url}/__sandbox__/tasks").json()
        return Counter(task["prompt"] for task in made if task["prompt"].startswith(f"{self.name} "))

    async def compare(self) -> Lists:
        """Hold the three lists against each other once all is quiet."""
        lists = await self.settle()
        verdict = {"lost": lists.lost(), "doubled": lists.doubled(), "invented": lists.invented()}
        assert not any(verdict.values()), verdict
        return lists

    def keep_evidence(self) -> str:
        """Write what the provider knows beside our logs; return where all is, and how each gateway is."""
        lives = [str(replica.life) for replica in self.replicas.all]
        try:
            for name in _EVIDENCE:
                known = httpx.get(f"{self.provider.url}/__sandbox__/{name}").text
                self.diary.with_name(f"provider-{name}.json").write_text(known)
        except httpx.TransportError as error:
            lives.append(f"the provider does not answer: {error!r}")
        return "\n".join([f"seed {self.seed}; everything is in {self.diary.parent}", *lives])

    async def _work(self, name: str) -> None:
        rng = random.Random(f"{self.seed} {name}")
        turn = 0
        while self.replicas.killing:
            turn += 1
            await asyncio.sleep(rng.uniform(0.0, _PAUSE))
            answer = await self.clients.ask(f"{name} film {turn}", keyed=rng.random() < 0.5)
            self.note(f"{name} film {turn}: {answer}")


@asynccontextmanager
async def open_world(
    folder: Path, provider: Provider, state: str, *, seed: int, replicas: int = 1, failpoint: str = ""
) -> AsyncIterator[World]:
    """Yield a world whose gateways have begun, and begin again whenever they end."""
    world = World(folder, provider, state, replicas=replicas, seed=seed)
    world.replicas.start(failpoint)
    try:
        async with asyncio.TaskGroup() as keepers:
            keeping = [keepers.create_task(world.replicas.keep(one)) for one in world.replicas.all]
            yield world
            for keeper in keeping:
                keeper.cancel()
    except BaseException as error:
        error.add_note(world.keep_evidence())
        raise
    finally:
        world.replicas.kill()
        await world.clients.aclose()
