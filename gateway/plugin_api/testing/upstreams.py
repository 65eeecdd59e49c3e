"""What every upstream must do, as tests over a double of its provider."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from gateway.accounts.account import Account
from gateway.generation.errors import UpstreamError
from gateway.generation.events import AnyEvent
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import Choice, Sum
from gateway.plugin_api.protocols import Mode, TaskUpstream, Upstream, UpstreamContext, UpstreamPlugin
from gateway.plugin_api.testing.grammar import check_grammar
from gateway.telemetry.redaction import Secret
from gateway.transport import Transport

__all__ = ["UpstreamCase", "UpstreamConformance"]

_TOKEN = "conformance-token"  # noqa: S105 - a canary
_PATIENCE = 10.0
_TURNS_TO_CLOSE = 10


class UpstreamCase:
    """An upstream under test, with the transport that it was lent."""

    def __init__(self, upstream: Upstream, transport: Transport, account: Account) -> None:
        self.upstream = upstream
        self.transport = transport
        self.account = account

    async def call(self, request: GenerationRequest) -> list[AnyEvent]:
        """Return all events of one call."""
        async with aclosing(self.upstream.stream(request, self.account, None)) as events:
            return [event async for event in events]

    async def check_closed(self) -> None:
        """Assert that no connection is in use. A socket takes some turns of the loop to close, no more."""
        for _ in range(_TURNS_TO_CLOSE):
            await asyncio.sleep(0)
        assert self.transport.open_connections <= self.transport.idle_connections, "a call was left open"


class UpstreamConformance:
    """Subclass it as ``Test…``, name the plugin and its requests, and start its provider's double."""

    plugin: ClassVar[type[UpstreamPlugin]]
    """The class behind the entry point."""
    requests: ClassVar[Sequence[GenerationRequest]]
    """Requests that the double answers well, at least one for each chat type that is served."""
    secret: ClassVar[Secret] = Secret(_TOKEN)
    """What the double takes for a good token."""
    embedded: ClassVar[bool] = False
    """Whether the upstream brings its provider along, which then cannot be gone."""

    def provider(self) -> AbstractAsyncContextManager[dict[str, Any]]:
        """Start the double; give the upstream's configuration table."""
        raise NotImplementedError

    def test_unknown_settings_are_refused(self) -> None:
        """A misspelt key must stop the start instead of meaning nothing."""
        assert self.plugin.Settings.__struct_config__.forbid_unknown_fields

    def test_mode_knows_what_is_served(self) -> None:
        """Every request of the case is served; an unheard-of chat type is not."""

        async def check(case: UpstreamCase) -> None:
            for request in self.requests:
                assert case.upstream.mode(request) is not None
                assert case.upstream.mode(replace(request, chat_type="t2nothing")) is None

        self._run(check)

    def test_ignored_fields_are_named_as_in_the_request(self) -> None:
        """The names go into a response header."""

        async def check(case: UpstreamCase) -> None:
            for request in self.requests:
                names = {name.partition(".")[0] for name in case.upstream.ignored(request)}
                assert names <= set(GenerationRequest.__struct_fields__)

        self._run(check)

    def test_models_are_listed_once_each(self) -> None:
        """The provider's models have distinct ids and say what they make."""

        async def check(case: UpstreamCase) -> None:
            models = await case.upstream.models(case.account)
            assert models
            assert len({model.id for model in models}) == len(models)
            assert all(model.chat_types for model in models)

        self._run(check)

    def test_streams_follow_the_grammar(self) -> None:
        """Each call ends with a finish and leaves no connection in use; a second one does the same."""

        async def check(case: UpstreamCase) -> None:
            for request in self._streamed(case):
                for _ in range(2):
                    check_grammar(await case.call(request))
                    await case.check_closed()

        self._run(check)

    def test_calls_at_the_same_time_do_not_mix(self) -> None:
        """An upstream holds no state of a request."""

        async def check(case: UpstreamCase) -> None:
            for request in self._streamed(case):
                alone = _substance(await case.call(request))
                together = await asyncio.gather(*(case.call(request) for _ in range(5)))
                assert all(_substance(events) == alone for events in together)

        self._run(check)

    def test_closing_anywhere_closes_the_call(self) -> None:
        """A caller who leaves after any event frees the connection at once."""

        async def check(case: UpstreamCase) -> None:
            for request in self._streamed(case):
                for count in _points(await case.call(request)):
                    async with aclosing(case.upstream.stream(request, case.account, None)) as events:
                        for _ in range(count):
                            await anext(events)
                    await case.check_closed()

        self._run(check)

    def test_cancelling_anywhere_closes_the_call(self) -> None:
        """A cancelled call frees its connection, wherever it waits, and the next call works."""

        async def check(case: UpstreamCase) -> None:
            for request in self._streamed(case):
                for turns in range(40):
                    call = asyncio.create_task(case.call(request))
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    call.cancel()
                    with suppress(asyncio.CancelledError):
                        await call
                await case.check_closed()
                check_grammar(await case.call(request))

        self._run(check)

    def test_a_provider_that_is_gone_is_an_upstream_error(self) -> None:
        """Nothing was sent, and nothing of the address or the token is told."""

        async def check() -> None:
            async with self._open(served=False) as case:
                for request in self._streamed(case):
                    (error,) = await asyncio.gather(case.call(request), return_exceptions=True)
                    assert isinstance(error, UpstreamError)
                    assert not error.sent
                    assert self.secret.reveal() not in error.message
                    assert "127.0.0.1" not in error.message

        if not self.embedded:
            asyncio.run(check())

    def test_tasks_run_to_their_end(self) -> None:
        """A task is prepared, submitted once and polled until it shows what it made."""

        async def check(case: UpstreamCase) -> None:
            for request in self._tasks(case):
                assert isinstance(case.upstream, TaskUpstream)
                prepared = await case.upstream.prepare(request, case.account, None)
                task = await case.upstream.submit(request, prepared, case.account)
                assert task.id
                while (state := await case.upstream.poll(task, case.account)).status == "running":  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                assert (state.status, bool(state.media)) == ("completed", True)
            await case.check_closed()

        self._run(check)

    def test_closing_twice_does_no_harm(self) -> None:
        """Shutdown may meet an upstream that a reload has closed."""

        async def check(case: UpstreamCase) -> None:
            await case.upstream.aclose()

        self._run(check)

    def _run(self, check: Callable[[UpstreamCase], Awaitable[None]]) -> None:
        async def run() -> None:
            async with asyncio.timeout(_PATIENCE), self._open() as case:
                await check(case)

        asyncio.run(run())

    @asynccontextmanager
    async def _open(self, *, served: bool = True) -> AsyncGenerator[UpstreamCase, None]:
        """Make the upstream; without `served` its provider stops before the first call."""
        account = Account(upstream="conformance", id="one", secret=self.secret)
        transport = Transport()
        with TemporaryDirectory() as folder:
            async with self.provider() as table:
                context = UpstreamContext(name="conformance", transport=transport, data_dir=Path(folder))
                settings = msgspec.convert(
                    table, self.plugin.Settings, dec_hook=lambda kind, text: kind(text)
                )
                upstream = await self.plugin.create(settings, context)
                if served:
                    yield UpstreamCase(upstream, transport, account)
            if not served:
                yield UpstreamCase(upstream, transport, account)
            await upstream.aclose()
            await transport.aclose()

    def _streamed(self, case: UpstreamCase) -> list[GenerationRequest]:
        return [request for request in self.requests if case.upstream.mode(request) is Mode.STREAM]

    def _tasks(self, case: UpstreamCase) -> list[GenerationRequest]:
        return [request for request in self.requests if case.upstream.mode(request) is Mode.TASK]


def _substance(events: Sequence[AnyEvent]) -> tuple[tuple[Choice, ...], int]:
    """Return what was said and how much was made, without the provider's ids and addresses."""
    total = Sum()
    for event in events:
        total.add(event)
    result = total.result()
    return result.choices, len(result.media)


def _points(events: Sequence[AnyEvent]) -> list[int]:
    """Return about ten places in a stream, the two ends among them."""
    return [*range(0, len(events), len(events) // 10 + 1), len(events)]
