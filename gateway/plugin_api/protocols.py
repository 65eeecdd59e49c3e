"""The contract: what a plugin implements, on one page.

Four entry-point groups, and the name of the entry point is the name that users write:

* ``gateway.generators``: a class that makes a `Generator`; the name is a chat type (t2t, t2i, t2v, yours)
* ``gateway.upstreams``: an `UpstreamPlugin`; the name is the `kind` in the configuration
* ``gateway.dialects``: a class that makes a `Dialect` (see `gateway.dialects.base`)
* ``gateway.commands``: a click command, added to the command line under its name
"""

import enum
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from gateway.accounts.account import Account
from gateway.accounts.allowance import Allowance
from gateway.generation.events import AnyEvent, Media, Thread, Usage
from gateway.generation.requests import GenerationRequest, UpstreamFile
from gateway.generation.views import Model, StoredFile
from gateway.transport import AnyTransport as Transport
from gateway.transport import Deadlines

__all__ = [
    "CostlyGenerator",
    "FileUpstream",
    "Generator",
    "Lease",
    "Mode",
    "Prepared",
    "Run",
    "TaskState",
    "TaskUpstream",
    "TellingUpstream",
    "Upstream",
    "UpstreamContext",
    "UpstreamPlugin",
    "UpstreamTask",
]


# ------------------------------------------------------------------ generators: one per chat type


class Mode(enum.Enum):
    """How an upstream serves a request."""

    STREAM = "stream"
    """One call that answers while the caller waits."""
    TASK = "task"
    """Submitted once, then polled; outlives its request."""


class Generator(Protocol):
    """Makes one kind of thing; knows no provider and no dialect."""

    chat_type: str

    def generate(self, request: GenerationRequest, run: "Run") -> AsyncGenerator[AnyEvent, None]:
        """Yield the events of one generation; raise a `GatewayError` instead of yielding a failure.

        It may be called again for the same request while no event has been passed on.
        """
        ...


@runtime_checkable
class CostlyGenerator(Generator, Protocol):
    """A generator each of whose answers costs one of few, as pictures and films do.

    What it has begun is brought to its end even when the caller leaves, and the caller's own retry, marked as
    one, gets that answer instead of another one.
    """

    costly: Literal[True]


class Run(Protocol):
    """What a generator may ask for while it serves one request."""

    request_id: str

    def mode(self, request: GenerationRequest) -> Mode:
        """Return how the preferred usable upstream serves the request; raises when none can."""
        ...

    def open_events(
        self, request: GenerationRequest
    ) -> AbstractAsyncContextManager[AsyncGenerator[AnyEvent, None]]:
        """Have the request served and hand out its events; on leaving, all that stands below is closed.

        A stream-mode upstream is called under a lease, a task-mode one gets a durable task.
        """
        ...

    def lease(self, request: GenerationRequest) -> "AbstractAsyncContextManager[Lease]":
        """Borrow an account of a stream-mode upstream for several calls; how it ends teaches the ledger."""
        ...


class Lease(Protocol):
    """A borrowed account."""

    upstream: "Upstream"
    account: "Account"
    thread: Thread | None

    def stream(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        """Call the upstream with this account and thread, attachments uploaded first."""
        ...


# ------------------------------------------------------------------ upstreams: one per provider


class UpstreamContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the gateway lends an upstream: its name, the shared HTTP transport, a folder to keep files in.

    `media_deadlines` are for calls that may be silent for long while they draw; the transport's own are for
    all others.
    """

    name: str
    transport: Transport
    data_dir: Path
    media_deadlines: Deadlines = Deadlines(first_byte=120.0, between_bytes=120.0)


class Upstream(Protocol):
    """Speaks one provider's wire. Holds no per-request state; every call gets its account."""

    def mode(self, request: GenerationRequest) -> Mode | None:
        """Return how this request would be served, None when it cannot be; no I/O."""
        ...

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        """Return the fields that this provider cannot honour, named as in the request: `sampling.seed`."""
        ...

    async def models(self, account: Account) -> Sequence[Model]:
        """Ask the provider which models there are."""
        ...

    def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        """Yield the events of one call; a `Thread` as soon as the provider's chat exists."""
        ...

    async def aclose(self) -> None:
        """Release what `create` took."""
        ...


@runtime_checkable
class TellingUpstream(Upstream, Protocol):
    """An upstream whose provider tells how much is left."""

    def allowance(self, account_id: str, chat_type: str) -> Allowance | None:
        """Return what the provider told last of an account's limit for a chat type; no I/O."""
        ...


class UpstreamPlugin(Protocol):
    """The class behind an entry point of ``gateway.upstreams``."""

    Settings: ClassVar[type[msgspec.Struct]]
    """Decodes the upstream's configuration table, without `kind` and `accounts`."""

    @classmethod
    async def create(cls, settings: Any, context: UpstreamContext) -> Upstream:
        """Make an upstream from decoded settings."""
        ...


class Prepared(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was made, free of charge, before a submit. `reference` is the plugin's own text."""

    reference: str = ""
    thread: Thread | None = None


class UpstreamTask(msgspec.Struct, frozen=True, omit_defaults=True):
    """A task as its provider knows it. `reference` is the plugin's own text."""

    id: str
    reference: str = ""
    thread: Thread | None = None


class TaskState(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a poll saw. `progress` is 0 to 1, None where the provider tells nothing.

    "missing": the provider does not know the task (any more).
    """

    status: Literal["running", "completed", "failed", "missing"]
    progress: float | None = None
    media: tuple[Media, ...] = ()
    usage: Usage | None = None
    error_code: str = ""
    error_message: str = ""


@runtime_checkable
class TaskUpstream(Upstream, Protocol):
    """An upstream whose work takes minutes."""

    async def prepare(self, request: GenerationRequest, account: Account, thread: Thread | None) -> Prepared:
        """Do what costs nothing and helps to find the submit again; stored before the submit."""
        ...

    async def submit(self, request: GenerationRequest, prepared: Prepared, account: Account) -> UpstreamTask:
        """Make the one paid call, which is never repeated.

        A definite refusal raises an error with ``sent`` False; an error with ``sent`` True means that the
        provider may have accepted.
        """
        ...

    async def poll(self, task: UpstreamTask, account: Account) -> TaskState:
        """Ask once. An error that it raises is a failed poll, never a failed task."""
        ...

    async def reconcile(self, prepared: Prepared, account: Account) -> UpstreamTask | None:
        """Find a submit whose answer was lost; None when the provider shows no trace of it (yet)."""
        ...

    async def cancel(self, task: UpstreamTask, account: Account) -> bool:
        """Stop the task; False when the provider cannot."""
        ...


@runtime_checkable
class FileUpstream(Upstream, Protocol):
    """An upstream that keeps files for its chats."""

    async def upload(self, file: StoredFile, content: AsyncIterable[bytes], account: Account) -> UpstreamFile:
        """Give the provider a file, unchanged, on the account whose chat will use it."""
        ...
