"""What one generation may ask for: an account to call with, a task to follow."""

import time
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, asynccontextmanager, nullcontext
from types import TracebackType
from typing import Final

import msgspec

from gateway.accounts.account import Account
from gateway.accounts.pool import AccountLease, AccountPool, Wants
from gateway.dispatch.attachments import Attachments, has_attachments
from gateway.dispatch.dialogue import Dialogue
from gateway.dispatch.routing import Choices, Routing, Tiers
from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, TaskAccepted, Thread
from gateway.generation.requests import Caller, GenerationRequest, Message
from gateway.generation.turns import Turn
from gateway.plugin_api.protocols import Generator, Mode, TaskUpstream, Upstream
from gateway.tasks.engine import TaskEngine
from gateway.tasks.submission import Order
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Attempt, Observation

__all__ = ["Borrowed", "DispatchRun", "Lending"]

_Names = frozenset[tuple[str, str]]
"""Accounts, as (upstream, account id)."""


class Lending(msgspec.Struct, frozen=True):
    """What a run lends from; one for the whole process. `queue_seconds` bounds the wait for an account."""

    pool: AccountPool
    routing: Routing
    attachments: Attachments
    tasks: TaskEngine
    metrics: Metrics
    queue_seconds: float


class DispatchRun:
    """The gateway's side of `Run`: one per request, over all its attempts.

    `dialogue` is the turn of a conversation that the request is, None for a one-off; `serving` are the
    upstreams that have its model. `thread` is the provider's conversation in the present attempt: it never
    outlives its account.
    """

    def __init__(
        self,
        lending: Lending,
        generator: Generator,
        caller: Caller,
        observed: Observation,
        task_id: str,
        dialogue: Dialogue | None,
        serving: frozenset[str],
    ) -> None:
        self.request_id = caller.request_id
        self.task_id = task_id
        self.caller = caller
        self.ignored: tuple[str, ...] = ()
        self.lending = lending
        self._generator = generator
        self._observed = observed
        self._dialogue = dialogue
        self._since = since = _NO_TURN if dialogue is None else dialogue.since
        self.thread = since.thread
        self._bound = bound = since.bound
        self._serving = serving if bound is None else serving & {bound[0]}
        self._tried: _Names = frozenset()
        self._lease: AccountLease | None = None
        # Asked for again by whoever looks whether this becomes a task: for one attempt the word stands.
        self._mode: tuple[GenerationRequest, _Names, Mode] | None = None
        self._known: tuple[GenerationRequest, Choices] | None = None

    def mode(self, request: GenerationRequest) -> Mode:
        """Return how the preferred upstream with an untried usable account serves the request.

        What shall go on in the background is a task, whichever way its upstream works.
        """
        return self._preferred_mode(request, self._choices(request))

    def open_events(
        self, request: GenerationRequest
    ) -> AbstractAsyncContextManager[AsyncGenerator[AnyEvent, None]]:
        """Call a stream-mode upstream under a lease, or make a durable task."""
        choices = self._choices(request)
        if self._preferred_mode(request, choices) is Mode.TASK:
            return aclosing(self._task(request, choices))
        return _LeasedEvents(self, request, choices.in_mode(Mode.STREAM))

    def lease(self, request: GenerationRequest) -> "AbstractAsyncContextManager[Borrowed]":
        """Borrow an account of a stream-mode upstream."""
        return self._lend(request, self._choices(request).in_mode(Mode.STREAM))

    def acquire(self, request: GenerationRequest, tiers: Tiers) -> Awaitable[AccountLease]:
        """Ask the pool for an account that will do for the next attempt."""
        thread = self._since.thread
        wants = Wants(
            chat_type=request.chat_type,
            model=request.model,
            tiers=tiers,
            bound=self._bound,
            exclude=self._tried,
            chat=thread.chat if thread else "",
        )
        return self.lending.pool.acquire(wants, wait=self.lending.queue_seconds)

    @asynccontextmanager
    async def _lend(self, request: GenerationRequest, tiers: Tiers) -> AsyncGenerator["Borrowed", None]:
        lease = Borrowed(self, request, await self.acquire(request, tiers))
        try:
            yield lease
        except BaseException as error:
            lease.give_back(error)
            raise
        lease.give_back(None)

    async def _task(self, request: GenerationRequest, choices: Choices) -> AsyncGenerator[AnyEvent, None]:
        """Make a durable task of the request and yield what becomes of it."""
        thread = await self._make_task(request, choices)
        if thread is not None:
            yield thread
        yield TaskAccepted(self.task_id)
        async with aclosing(self.lending.tasks.follow(self.task_id)) as events:
            async for event in events:
                yield event

    async def _make_task(self, request: GenerationRequest, choices: Choices) -> Thread | None:
        """Have the task made, and return the conversation that it is part of at its provider."""
        tasks = self.lending.tasks
        tiers = choices.tiers if request.delivery.background else choices.in_mode(Mode.TASK)
        async with AsyncExitStack() as stack:
            lease = await stack.enter_async_context(self._lend(request, tiers))
            order = await self._order(request, lease)
            if lease.upstream.mode(request) is Mode.TASK and isinstance(lease.upstream, TaskUpstream):
                task = await tasks.submit(order, lease.upstream, stack.pop_all())
            else:
                events = self._generator.generate(request, _Lent(self.request_id, lease))
                task = await tasks.drive(order, events, stack.pop_all())
        return task.thread

    async def _order(self, request: GenerationRequest, lease: "Borrowed") -> Order:
        return Order(
            id=self.task_id,
            owner=self.caller.owner,
            request=await lease.attached(request),
            account=lease.account,
            thread=lease.thread,
            chat_id=self._dialogue.chat_id if self._dialogue else "",
            turn=self._dialogue.opening() if self._dialogue else _NO_TURN,
        )

    @property
    def is_bound(self) -> bool:
        """Whether one account alone can go on from the turn before."""
        return self._bound is not None

    def stay(self) -> None:
        """Let the next attempt use the same account."""
        self._tried = frozenset()

    def note_first_event(self) -> None:
        """Tell the pool that the account answers: one that is on probation may serve others already."""
        self._observed.saw_first_event()
        if self._lease is not None:
            self._lease.confirm()

    def note_borrowed(self, lease: AccountLease, upstream: Upstream, request: GenerationRequest) -> None:
        """Remember who was asked."""
        account, observed = lease.account, self._observed
        self._lease = lease
        self.thread = self._since.thread
        self._tried |= {(account.upstream, account.id)}
        self.ignored = tuple(upstream.ignored(request))
        observed.upstream, observed.account = account.upstream, account.id
        observed.attempts += 1

    def note_returned(self, account: Account, chat_type: str, outcome: str, seconds: float) -> None:
        """Count a finished attempt."""
        self._lease = None
        attempt = Attempt(account.upstream, account.id, chat_type, outcome, seconds)
        self.lending.metrics.record_attempt(attempt)

    def turn(self, before: str, said: tuple[Message, ...]) -> Turn:
        """Return where the present attempt leaves the conversation: at its provider, or in words."""
        if self.thread is None:
            return Turn(before=before, messages=said)
        observed = self._observed
        return Turn(before=before, upstream=observed.upstream, account=observed.account, thread=self.thread)

    def _preferred_mode(self, request: GenerationRequest, choices: Choices) -> Mode:
        if request.delivery.background:
            return Mode.TASK
        if choices.only_mode is not None:
            return choices.only_mode
        known = self._mode
        if known is None or known[0] is not request or known[1] is not self._tried:
            known = self._mode = (request, self._tried, self._find_mode(request, choices.modes))
        return known[2]

    def _find_mode(self, request: GenerationRequest, modes: Mapping[str, Mode]) -> Mode:
        for name, mode in modes.items():
            if self.lending.pool.offers(name, request.chat_type, request.model, self._tried):
                return mode
        return next(iter(modes.values()))

    def _choices(self, request: GenerationRequest) -> Choices:
        """Return who may serve the request; the same one is asked about several times."""
        known = self._known
        if known is None or known[0] is not request:
            known = self._known = (request, self.lending.routing.choices(request, self._serving))
        return known[1]


_NO_TURN: Final = Turn()


class _Lent:
    """What a task may ask for while this process drives it: the one account that it was made with."""

    def __init__(self, request_id: str, lease: "Borrowed") -> None:
        self.request_id = request_id
        self._lease = lease

    def mode(self, request: GenerationRequest) -> Mode:
        """Return that the answer is streamed, here in the background."""
        return Mode.STREAM

    def open_events(
        self, request: GenerationRequest
    ) -> AbstractAsyncContextManager[AsyncGenerator[AnyEvent, None]]:
        """Call the upstream with the account."""
        return aclosing(self._lease.stream(request))

    def lease(self, request: GenerationRequest) -> "AbstractAsyncContextManager[Borrowed]":
        """Hand out the account; the task gives it back at its end."""
        return nullcontext(self._lease)


class _LeasedEvents:
    """The events of a call under its own lease.

    A class, because `contextlib.asynccontextmanager` costs a generator per call.
    """

    __slots__ = ("_events", "_lease", "_request", "_run", "_tiers")

    def __init__(self, run: DispatchRun, request: GenerationRequest, tiers: Tiers) -> None:
        self._run = run
        self._request = request
        self._tiers = tiers

    async def __aenter__(self) -> AsyncGenerator[AnyEvent, None]:
        run, request = self._run, self._request
        self._lease = lease = Borrowed(run, request, await run.acquire(request, self._tiers))
        try:
            self._events = events = lease.stream(request)
        except BaseException as error:
            lease.give_back(error)
            raise
        return events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._events.aclose()
        except BaseException as closing:
            self._lease.give_back(closing)
            raise
        self._lease.give_back(error)


class Borrowed:
    """A borrowed account."""

    __slots__ = ("_lease", "_request", "_run", "_started", "account", "thread", "upstream")

    def __init__(self, run: DispatchRun, request: GenerationRequest, lease: AccountLease) -> None:
        self._run = run
        self._request = request
        self._lease = lease
        self._started = time.monotonic()
        self.account = account = lease.account
        try:
            self.upstream = upstream = run.lending.routing.upstreams[account.upstream]
            run.note_borrowed(lease, upstream, request)
        except BaseException:  # A plugin's fault: nobody has this value yet to give the account back by.
            lease.settle_cancelled()
            raise
        self.thread = run.thread

    def give_back(self, error: BaseException | None) -> None:
        """Return the account and teach the ledger how the call ended."""
        if error is None:
            self._lease.settle(None)
            outcome = "ok"
        elif isinstance(error, GatewayError):
            self._lease.settle(error)
            outcome = error.outcome
        else:
            self._lease.settle_cancelled()
            outcome = "cancelled"
        seconds = time.monotonic() - self._started
        self._run.note_returned(self.account, self._request.chat_type, outcome, seconds)

    def stream(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        """Call the upstream with this account and thread, attachments uploaded first."""
        if has_attachments(request):
            return self._stream_attached(request)
        return self.upstream.stream(request, self.account, self.thread)

    async def attached(self, request: GenerationRequest) -> GenerationRequest:
        """Return the request with its files where this account's provider can use them."""
        if not has_attachments(request):
            return request
        owner = self._run.caller.owner
        return await self._run.lending.attachments.attach(request, owner, self.upstream, self.account)

    async def _stream_attached(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        attached = await self.attached(request)
        async with aclosing(self.upstream.stream(attached, self.account, self.thread)) as events:
            async for event in events:
                yield event
