"""A provider of tasks that does what a test tells it, and remembers what it was paid for."""

import asyncio
import time
from collections import Counter
from contextlib import asynccontextmanager

from gateway.accounts.account import Account
from gateway.config import Settings, TaskSettings
from gateway.generation.events import Media
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.media.archive import Archive, open_objects
from gateway.media.fetch import Fetcher
from gateway.plugin_api.protocols import Mode, Prepared, TaskState, UpstreamTask
from gateway.state.store import StoreUnavailable
from gateway.tasks.assembly import open_tasks
from gateway.tasks.submission import Order
from gateway.telemetry.metrics import Metrics
from gateway.transport import Transport

ACCOUNT = Account(upstream="scripted", id="one")
FILM = Media("video", "https://films.example/film.mp4", media_type="video/mp4")


class ScriptedUpstream:
    """Makes a task of each submit; `on_submit`, `on_poll` and `on_reconcile` may raise or replace answers."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.accepted: dict[str, float] = {}
        self.references: dict[str, str] = {}
        self.submits: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.poll_times: list[tuple[str, float]] = []
        self.on_submit = self.on_poll = self.on_reconcile = None
        self.cancellable = False
        self.media = (FILM,)

    def mode(self, request):
        return Mode.TASK

    async def prepare(self, request, account, thread):
        return Prepared(reference=request.prompt)

    async def submit(self, request, prepared, account):
        self.submits[prepared.reference] += 1
        if self.on_submit:
            await self.on_submit(self, prepared)
        return self.accept(prepared)

    def accept(self, prepared):
        task = UpstreamTask(f"provider-{prepared.reference}")
        self.accepted.setdefault(task.id, time.monotonic() + self.seconds)
        return task

    async def poll(self, task, account):
        self.polls[task.id] += 1
        self.poll_times.append((account.id, time.monotonic()))
        if self.on_poll:
            answer = await self.on_poll(self, task)
            if answer is not None:
                return answer
        if task.id not in self.accepted:
            return TaskState("missing")
        if time.monotonic() < self.accepted[task.id]:
            return TaskState("running")
        return TaskState("completed", media=self.media)

    async def reconcile(self, prepared, account):
        if self.on_reconcile:
            await self.on_reconcile(self, prepared)
        task = UpstreamTask(f"provider-{prepared.reference}")
        return task if task.id in self.accepted else None

    async def cancel(self, task, account):
        return self.cancellable


def request(prompt: str = "a film") -> GenerationRequest:
    return GenerationRequest(chat_type="t2v", model="m", messages=(Message("user", (TextPart(prompt),)),))


def order(prompt: str, *, account: Account = ACCOUNT, owner: str = "alice") -> Order:
    return Order(
        id=prompt.encode().hex().rjust(32, "0"), owner=owner, request=request(prompt), account=account
    )


def open_archive(folder) -> Archive:
    fetcher = Fetcher(Transport(public_only=True), Transport(), ("films.example",), 2**20)
    return Archive(open_objects(f"file://{folder}/media"), fetcher)


def opened(store, leases, folder, upstream, *, accounts=(ACCOUNT,), archive=None, auth=None, **tasks):
    """Open the whole room over a scripted provider; `ended` is who ended, `deaf` how often in vain."""
    known = {(account.upstream, account.id): account for account in accounts}
    settings = Settings(tasks=TaskSettings(**{"poll_interval_seconds": 0.05, **tasks}))
    if auth is not None:
        settings = Settings(tasks=settings.tasks, auth=auth)

    def find(name, account):
        found = known.get((name, account))
        return None if found is None else (upstream, found)

    async def end_turn(task):
        room.ended.append(task)
        if len(room.ended) <= room.deaf:
            raise StoreUnavailable("away")

    archive = archive or open_archive(folder)
    room = _engine(open_tasks(store, leases, archive, settings, Metrics(), find, end_turn))
    room.ended, room.deaf = [], 0
    room.known = known
    return room


@asynccontextmanager
async def _engine(opening):
    async with opening as tasks:
        yield tasks.engine


async def until(condition, seconds: float = 10.0):
    """Wait for a condition, which may be a coroutine function."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if asyncio.iscoroutine(found):
            found = await found
        if found:
            return found
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.01)
