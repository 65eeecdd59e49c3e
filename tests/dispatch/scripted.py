"""Upstreams that play scripts, and a dispatcher over them with a real store, pool and ledger."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from gateway.accounts.account import Account
from gateway.accounts.ledger import Ledger
from gateway.accounts.pool import AccountPool
from gateway.config import Settings, TaskSettings
from gateway.dispatch.attachments import Attachments
from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.conversations import Conversations
from gateway.dispatch.dispatcher import Dispatcher, Generation
from gateway.dispatch.routing import Routing
from gateway.dispatch.run import Lending
from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Finish, Media, TextDelta, Thread
from gateway.generation.requests import (
    Caller,
    Continuation,
    GenerationRequest,
    Message,
    TextPart,
    UpstreamFile,
)
from gateway.generation.views import Model, StoredFile
from gateway.media.archive import Archive, open_objects
from gateway.media.fetch import Fetcher
from gateway.media.files import FileShelf
from gateway.plugin_api.protocols import Mode, Prepared, TaskState, UpstreamTask
from gateway.plugin_api.registry import GENERATORS, Registry
from gateway.state.memory_leases import MemoryLeases
from gateway.state.sqlite import SqliteStore
from gateway.tasks.assembly import open_tasks
from gateway.tasks.engine import TaskEngine
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Observation
from gateway.transport import Transport

__all__ = ["Filing", "House", "Script", "Tasking", "Upstream", "ask", "house"]

Script = Sequence[AnyEvent | Exception | float]
"""What one call does: events, an error at the end, seconds of silence."""
ANSWER: Script = (TextDelta("hello"), Finish())


class Upstream:
    """Serves calls by script: the n-th call plays the n-th script, the last one for ever."""

    def __init__(
        self,
        *scripts: Script,
        chat_types: Sequence[str] = ("t2t", "t2i", "t2v"),
        models: Sequence[str] = ("m",),
        accounts: Sequence[str] = ("one",),
        ignored: Sequence[str] = (),
    ) -> None:
        self.scripts = list(scripts or [ANSWER])
        self.calls: list[tuple[str, GenerationRequest, Thread | None]] = []
        self.open = 0
        self.chat_types = chat_types
        self.known = models
        self.accounts = accounts
        self._ignored = ignored

    def mode(self, request: GenerationRequest) -> Mode | None:
        return Mode.STREAM if request.chat_type in self.chat_types else None

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        return self._ignored

    async def models(self, account: Account) -> Sequence[Model]:
        return [Model(id=name, chat_types=tuple(self.chat_types)) for name in self.known]

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        self.calls.append((account.id, request, thread))
        script = self.scripts[min(len(self.calls), len(self.scripts)) - 1]
        self.open += 1
        try:
            for step in script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, float):
                    await asyncio.sleep(step)
                else:
                    yield step
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        return


class Tasking(Upstream):
    """The same, but every request is a task; the script of a call is a refusal or nothing."""

    def __init__(self, *scripts: Script, **options: Any) -> None:
        super().__init__(*(scripts or ((),)), **options)

    def mode(self, request: GenerationRequest) -> Mode | None:
        return Mode.TASK if request.chat_type in self.chat_types else None

    async def prepare(self, request: GenerationRequest, account: Account, thread: Thread | None) -> Prepared:
        return Prepared(thread=thread or Thread("their-chat"))

    async def submit(self, request: GenerationRequest, prepared: Prepared, account: Account) -> UpstreamTask:
        async with aclosing(self.stream(request, account, prepared.thread)) as events:
            async for _ in events:
                pass
        return UpstreamTask(f"their-task-{len(self.calls)}", thread=prepared.thread)

    async def poll(self, task: UpstreamTask, account: Account) -> TaskState:
        return TaskState("completed", media=(Media("video", "https://media.example/film.mp4"),))

    async def reconcile(self, prepared: Prepared, account: Account) -> UpstreamTask | None:
        return None

    async def cancel(self, task: UpstreamTask, account: Account) -> bool:
        return False


class Filing(Upstream):
    """Keeps the files that it is given."""

    def __init__(self, *scripts: Script, **options: Any) -> None:
        super().__init__(*scripts, **options)
        self.files: list[tuple[str, StoredFile, bytes]] = []

    async def upload(self, file: StoredFile, content: AsyncIterable[bytes], account: Account) -> UpstreamFile:
        data = b"".join([chunk async for chunk in content])
        self.files.append((account.id, file, data))
        return UpstreamFile(file.name, file.media_type, len(data), f"theirs-{len(self.files)}")


class House(msgspec.Struct, frozen=True):
    """A dispatcher and what it stands on."""

    dispatcher: Dispatcher
    pool: AccountPool
    store: SqliteStore
    shelf: FileShelf
    metrics: Metrics
    catalogue: Catalogue
    tasks: TaskEngine
    conversations: Conversations

    async def open(
        self, request: GenerationRequest, *, owner: str = "alice", observed: Observation | None = None
    ) -> Generation:
        caller = Caller(owner=owner, request_id="r1", base_url="http://gateway.test")
        return await self.dispatcher.open(request, caller, observed or Observation("r1"))

    async def events(self, request: GenerationRequest, *, owner: str = "alice") -> list[AnyEvent]:
        """Return all events of one generation."""
        generation = await self.open(request, owner=owner)
        async with aclosing(generation.events()) as events:
            return [event async for event in events]

    async def failure(self, request: GenerationRequest) -> tuple[list[AnyEvent], GatewayError]:
        """Return what was passed on and the error that ended it."""
        seen: list[AnyEvent] = []
        generation = await self.open(request)
        try:
            async with aclosing(generation.events()) as events:
                async for event in events:
                    seen.append(event)  # noqa: PERF401 - what came before the error counts
        except GatewayError as error:
            return seen, error
        raise AssertionError(f"no error after {seen}")

    async def chat(self, text: str, chat_id: str = "", parent_id: str = "") -> tuple[str, str]:
        """Have one turn of a kept chat; return its chat id and the turn's."""
        request = ask(text, continuation=Continuation(chat_id, parent_id))
        generation = await self.open(request)
        async with aclosing(generation.events()) as events:
            async for _ in events:
                pass
        return generation.reply.chat_id, generation.reply.parent_id


def ask(text: str = "hi", chat_type: str = "t2t", **fields: Any) -> GenerationRequest:
    """Return a request with one user message."""
    return GenerationRequest(
        chat_type=chat_type, messages=(Message("user", (TextPart(text),)),), model="m", **fields
    )


@asynccontextmanager
async def house(
    folder: Path, upstreams: Mapping[str, Upstream], routes: Mapping[str, Any] | None = None
) -> AsyncIterator[House]:
    """Open a dispatcher over scripted upstreams, with the generators that are installed."""
    async with AsyncExitStack() as stack:
        store = await SqliteStore.open()
        stack.push_async_callback(store.aclose)
        transport = Transport()
        stack.push_async_callback(transport.aclose)
        ledger = Ledger(store)
        await stack.enter_async_context(ledger.running())
        accounts = {
            name: [Account(upstream=name, id=one) for one in upstream.accounts]
            for name, upstream in upstreams.items()
        }
        pool = AccountPool([one for some in accounts.values() for one in some], ledger, MemoryLeases())
        archive = Archive(
            open_objects(f"file://{folder}/media"), Fetcher(transport, transport, ("*",), 2**20)
        )
        metrics, leases = Metrics(), MemoryLeases()
        settings = Settings(tasks=TaskSettings(poll_interval_seconds=0.02))

        def find(upstream: str, account: str) -> Any:
            return upstreams[upstream], Account(upstream=upstream, id=account)

        conversations = Conversations(store)
        stack.push_async_callback(conversations.aclose)
        opened = await stack.enter_async_context(
            open_tasks(store, leases, archive, settings, metrics, find, conversations.end_turn)
        )
        tasks = opened.engine
        shelf = FileShelf(store, archive)
        routing = Routing(upstreams, routes or {})
        lending = Lending(pool, routing, Attachments(shelf, store), tasks, metrics, 1.0)
        catalogue = Catalogue(upstreams, accounts, default="m", aliases={"alias": "m"})
        await catalogue.refresh()
        registry = Registry()
        generators = {name: registry.generator(name) for name in registry.names(GENERATORS)}
        dispatcher = Dispatcher(generators, lending, catalogue, conversations, archive)
        yield House(dispatcher, pool, store, shelf, metrics, catalogue, tasks, conversations)
