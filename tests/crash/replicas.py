"""Gateways over one store, each started again after every death, and killed at random times if wanted."""

import asyncio
import random
import signal
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tests.crash.life import Life

__all__ = ["Deaths", "Replica", "Replicas"]

_FRESH = 0.1
"""The share of lives that begin in a new interpreter."""
_STARTS = 3.0
_MOST_SECONDS = 2.0
"""A life is its own start and so many more starts long, on average: the slower the machine, the longer, but
for so many seconds at most."""
_TOGETHER = 0.2
"""The share of kills that take every replica at the same instant, as a power cut does."""
_REFUSALS = 5
"""So often in a row a gateway may end by itself, where its store was too busy to answer it in time."""
_SMOOTHING = 0.2


class Deaths(msgspec.Struct):
    """How lives have ended. Of the `killed`, some were not answering yet, some were new interpreters."""

    killed: int = 0
    starting: int = 0
    fresh: int = 0
    by_failpoint: int = 0
    by_themselves: int = 0


class Replica:
    """One gateway over many lives; `life` is the present one."""

    life: Life

    def __init__(self, folder: Path, toml: str, rng: random.Random) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "gateway.toml").write_text(toml)
        self.rng = rng
        self._folder = folder

    def start(self, failpoint: str = "") -> None:
        words = ["serve", "--config", str(self._folder / "gateway.toml"), "--port", "0"]
        environ = {"GATEWAY_FAILPOINT": failpoint} if failpoint else {}
        fresh = self.rng.random() < _FRESH
        self.life = Life(words, self._folder / "gateway.log", fresh=fresh, **environ)


class Replicas:
    """All gateways of a world. While `killing`, each is killed at times that know nothing of its work."""

    def __init__(self, folder: Path, toml: str, count: int, seed: int, note: Callable[[str], None]) -> None:
        self.deaths = Deaths()
        self.killing = False
        self.all: Sequence[Replica] = [
            Replica(folder / f"replica-{at}", toml, random.Random(f"{seed} replica {at}"))
            for at in range(count)
        ]
        self._note = note
        self._starts = {False: 0.3, True: 1.0}

    @property
    def urls(self) -> list[str]:
        """Where gateways answer now."""
        return [replica.life.url for replica in self.all if replica.life.url]

    def start(self, failpoint: str = "") -> None:
        """Begin the first life of each; only this one dies at the failpoint."""
        for replica in self.all:
            replica.start(failpoint)

    async def keep(self, replica: Replica) -> None:
        """Give a replica one life after the other; runs for ever."""
        refusals = 0
        while True:
            await self._live(replica)
            self._bury(replica.life)
            refusals = 0 if replica.life.ended == -signal.SIGKILL else refusals + 1
            assert refusals < _REFUSALS, str(replica.life)
            replica.start()

    async def died(self, seconds: float = 40.0) -> None:
        """Wait until a gateway has killed itself at its failpoint."""
        async with asyncio.timeout(seconds):
            while not self.deaths.by_failpoint:
                await asyncio.sleep(0.02)

    def kill(self) -> None:
        """End everything."""
        for replica in self.all:
            replica.life.kill()

    async def _live(self, replica: Replica) -> None:
        life = replica.life
        mean = self._starts[life.fresh] + min(_STARTS * self._starts[False], _MOST_SECONDS)
        end = replica.rng.expovariate(1.0 / mean)
        await life.over(lambda: self.killing and life.age > end)
        if life.ended is None:
            victims = self.all if replica.rng.random() < _TOGETHER else [replica]
            for victim in victims:
                victim.life.kill()

    def _bury(self, life: Life) -> None:
        start = self._starts[life.fresh]
        # Who was killed before the first answer would have needed longer still.
        self._starts[life.fresh] += _SMOOTHING * ((life.took or max(life.age, start)) - start)
        if life.killed:
            self.deaths.killed += 1
            self.deaths.starting += not life.took
            self.deaths.fresh += life.fresh
        elif life.ended == -signal.SIGKILL:
            self.deaths.by_failpoint += 1
        else:
            self.deaths.by_themselves += 1
        self._note(f"{'killed' if life.killed else 'ended'} {life.summary}")
        if life.ended != -signal.SIGKILL:
            self._note(str(life))
