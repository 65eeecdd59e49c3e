"""One process that runs a command of the gateway, from its start to its end.

Most are forked from a process that has imported the gateway already, which takes a fifth of the time of a
new interpreter. A forked gateway reads its configuration, opens its store and binds its port as any other
does, and SIGKILL takes it away as it takes any other.
"""

import asyncio
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path

__all__ = ["Life", "run", "run_provider"]

_GROUPS = ("gateway.dialects", "gateway.generators", "gateway.upstreams")
_IMPORTED = (
    "pytest",  # multiprocessing imports the parent's main program in every child
    *("gateway.cli.banner", "gateway.reload", "gateway.server", "gateway.state.valkey"),
    *("gateway_sandbox.server", "litestar.plugins.attrs", "litestar.plugins.pydantic", "uvloop"),
    *(entry.module for group in _GROUPS for entry in entry_points(group=group)),
)
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(list(_IMPORTED))
_FRESH = multiprocessing.get_context("spawn")
_ADDRESS = re.compile(r'(?:"url":"|sandbox at )(http://[\w.]+:\d+)[" ]')
_LOOK_SECONDS = 0.01
_TAIL = 15


def run(words: Sequence[str], log: Path, environ: dict[str, str]) -> None:
    """Become `gateway <words>`, which writes to `log` and has `environ` added to its environment."""
    with log.open("ab") as sink:
        os.dup2(sink.fileno(), 1)
        os.dup2(sink.fileno(), 2)
    os.chdir(log.parent)
    for name in [name for name in os.environ if name.startswith("GATEWAY_")]:
        del os.environ[name]
    os.environ.update(environ)
    sys.argv = ["gateway", *words]

    from gateway.cli import main

    main()


def run_provider(words: Sequence[str], log: Path, environ: dict[str, str]) -> None:
    """Become a sandbox with one film for every prompt: to draw each would take half of the machine."""
    from gateway_sandbox import gallery

    film = gallery.film_mp4("every film", 0, (64, 36))
    gallery.film_mp4 = lambda *_: film
    run(words, log, environ)


class Life:
    """A process that begins when this is made.

    Attributes:
        url: where it answers; empty before it does, and after its end.
        took: how many seconds it needed until it answered; 0 before.
        killed: whether it was `kill` that ended it.
    """

    def __init__(
        self,
        words: Sequence[str],
        log: Path,
        *,
        become: Callable[[Sequence[str], Path, dict[str, str]], None] = run,
        fresh: bool = False,
        **environ: str,
    ) -> None:
        self.fresh = fresh
        self.url = ""
        self.took = 0.0
        self.killed = False
        self._log = log
        log.touch()
        self._from = log.stat().st_size
        self._began = time.monotonic()
        context = _FRESH if fresh else _FORKED
        self._process = context.Process(target=become, args=(words, log, environ), daemon=True)
        self._process.start()

    @property
    def ended(self) -> int | None:
        """The exit code; negative is the signal that killed the process. None while it lives."""
        return self._process.exitcode

    @property
    def age(self) -> float:
        return time.monotonic() - self._began

    async def over(self, when: Callable[[], bool] = lambda: False) -> None:
        """Wait until the process has ended, or `when` says that this is enough."""
        while self.ended is None and not when():
            self._look()
            await asyncio.sleep(_LOOK_SECONDS)
        if self.ended is not None:
            self.url = ""

    async def answers(self) -> str:
        """Return the URL once there is one."""
        await self.over(lambda: bool(self.url))
        assert self.url, str(self)
        return self.url

    def kill(self) -> None:
        """End the process as a power cut would."""
        self.url = ""
        self.killed = self.killed or self.ended is None
        self._process.kill()
        self._process.join()

    def _look(self) -> None:
        found = None if self.url else _ADDRESS.search(self._logged())
        if found:
            self.url, self.took = found[1], self.age

    def _logged(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._from)
            return log.read().decode("utf-8", "replace")

    @property
    def summary(self) -> str:
        kind = "new" if self.fresh else "forked"
        how = "alive" if self.ended is None else f"ended with {self.ended}"
        ages = f"began {self.age:.2f} s ago, answered after {self.took:.2f} s"
        return f"{self._log.parent.name}, {kind}, {how}, {ages}"

    def __str__(self) -> str:
        # Our own looking would fill the page.
        said = [line for line in self._logged().splitlines() if '"method":"GET"' not in line]
        return "\n".join([f"{self.summary}; its log ends:", *said[-_TAIL:]])
