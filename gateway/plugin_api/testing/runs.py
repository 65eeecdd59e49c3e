"""A run that plays a script, and knows what is still open."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager

from gateway.accounts.account import Account
from gateway.generation.events import AnyEvent, Thread
from gateway.generation.requests import GenerationRequest
from gateway.generation.views import Model
from gateway.plugin_api.protocols import Lease, Mode, Upstream

__all__ = ["ScriptedRun"]


class ScriptedRun:
    """Serves every call with the same events, then raises `error` or ends.

    Args:
        events: what each call yields.
        error: raised after the events.
        mode: how the request is said to be served.
        thread: what the lease goes on from.
    """

    request_id = "scripted"

    def __init__(
        self,
        events: Sequence[AnyEvent] = (),
        *,
        error: Exception | None = None,
        mode: Mode = Mode.STREAM,
        thread: Thread | None = None,
    ) -> None:
        self.requests: list[GenerationRequest] = []
        """What was asked for, one entry per call."""
        self.open_leases = 0
        self.open_streams = 0
        self.most_leases = 0
        self.most_streams = 0
        """How many of them there were at once."""
        self.thread = thread
        self._events = events
        self._error = error
        self._mode = mode

    def mode(self, request: GenerationRequest) -> Mode:
        """Return the mode that the script names."""
        return self._mode

    @asynccontextmanager
    async def lease(self, request: GenerationRequest) -> AsyncGenerator[Lease, None]:
        """Hand out a lease and count it until it is given back."""
        self.open_leases += 1
        self.most_leases = max(self.most_leases, self.open_leases)
        try:
            yield _ScriptedLease(self)
        finally:
            self.open_leases -= 1

    @asynccontextmanager
    async def open_events(
        self, request: GenerationRequest
    ) -> AsyncGenerator[AsyncGenerator[AnyEvent, None], None]:
        """Play the script; a task holds an account too."""
        async with self.lease(request), aclosing(self.play(request)) as events:
            yield events

    async def play(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        """Yield the script's events, the event loop running between them."""
        self.requests.append(request)
        self.open_streams += 1
        self.most_streams = max(self.most_streams, self.open_streams)
        try:
            for event in self._events:
                await asyncio.sleep(0)
                yield event
            await asyncio.sleep(0)
            if self._error is not None:
                raise self._error
        finally:
            self.open_streams -= 1

    def check_closed(self) -> None:
        """Assert that every lease was given back and every stream below was closed."""
        assert self.open_streams == 0, "a stream below the generator was left open"
        assert self.open_leases == 0, "a lease was not given back"


class _ScriptedUpstream:
    def mode(self, request: GenerationRequest) -> Mode | None:
        return Mode.STREAM

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        return ()

    async def models(self, account: Account) -> Sequence[Model]:
        return ()

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        raise AssertionError("a generator calls its lease, never the upstream")
        yield

    async def aclose(self) -> None:
        return


class _ScriptedLease:
    def __init__(self, run: ScriptedRun) -> None:
        self.upstream: Upstream = _ScriptedUpstream()
        self.account = Account(upstream="scripted", id="one")
        self.thread = run.thread
        self._run = run

    def stream(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        return self._run.play(request)
