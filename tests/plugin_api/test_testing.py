"""The conformance kit finds what it is there to find: each broken plugin fails the right test."""

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, ClassVar

import msgspec
import pytest

from gateway.generation.errors import EmptyAnswer, UpstreamUnavailable, UpstreamUnreachable
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted, TextDelta, Thread
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.generation.views import Model
from gateway.plugin_api import Account, Mode, Run, UpstreamContext, open_stream
from gateway.plugin_api.testing import (
    GeneratorConformance,
    ScriptedRun,
    UpstreamConformance,
    check_grammar,
    serve,
    stream_reply,
)

REQUEST = GenerationRequest(chat_type="t2x", messages=(Message("user", (TextPart("Hi"),)),))
MEDIA = Media("image", "u")


@pytest.mark.parametrize(
    "events",
    [
        [],
        [TextDelta("a")],
        [Finish(), Finish()],
        [Finish(), TextDelta("a")],
        [TaskAccepted("a"), TaskAccepted("b"), Finish()],
        [MEDIA, TaskAccepted("a"), Finish()],
    ],
)
def test_what_is_against_the_grammar(events: list[AnyEvent]) -> None:
    with pytest.raises(AssertionError):
        check_grammar(events)


class Good:
    chat_type = "t2x"

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        answered = False
        async with run.open_events(request) as events:
            async for event in events:
                if isinstance(event, Finish) and not answered:
                    raise EmptyAnswer("Nothing.")
                answered = True
                yield event


class Misnamed(Good):
    chat_type = "t2y"


class KeepsTheEnd(Good):
    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        async with run.open_events(request) as events:
            async for event in events:
                if not isinstance(event, Finish):
                    yield event


class LeavesOpen(Good):
    kept: ClassVar[list[Any]] = []

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        lease = run.lease(request)
        self.kept.append(lease)
        async for event in (await lease.__aenter__()).stream(request):
            yield event


class Swallows(Good):
    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        with suppress(Exception):
            async with run.open_events(request) as events:
                async for event in events:
                    yield event


class Renames(Good):
    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        try:
            async with run.open_events(request) as events:
                async for event in events:
                    yield event
        except Exception as error:
            raise UpstreamUnavailable(str(error)) from error


def case(generator: Callable[[], Any]) -> GeneratorConformance:
    class Case(GeneratorConformance):
        make = generator
        request = REQUEST
        answer = (TextDelta("a"), TextDelta("b"), Finish())

    return Case()


TESTS = [name for name in dir(GeneratorConformance) if name.startswith("test_")]


@pytest.mark.parametrize("name", TESTS)
def test_a_good_generator_passes(name: str) -> None:
    getattr(case(Good), name)()


@pytest.mark.parametrize(
    ("generator", "name"),
    [
        (Misnamed, "test_the_chat_type_is_the_requests"),
        (KeepsTheEnd, "test_an_answer_passes_by_the_grammar"),
        (LeavesOpen, "test_an_answer_passes_by_the_grammar"),
        (LeavesOpen, "test_closing_anywhere_closes_all_that_is_below"),
        (LeavesOpen, "test_cancelling_anywhere_closes_all_that_is_below"),
        (Swallows, "test_errors_pass_unchanged_wherever_they_come"),
        (Renames, "test_errors_pass_unchanged_wherever_they_come"),
        (KeepsTheEnd, "test_success_without_content_is_an_error"),
    ],
)
def test_a_broken_generator_is_found(generator: Callable[[], Any], name: str) -> None:
    with pytest.raises(AssertionError):
        getattr(case(generator), name)()


class UpstreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    base_url: str


class Lines:
    """An upstream whose provider sends one line of text per token; everything is as it should be."""

    Settings = UpstreamSettings

    def __init__(self, settings: UpstreamSettings, context: UpstreamContext) -> None:
        self.url = settings.base_url
        self.transport = context.transport

    @classmethod
    async def create(cls, settings: UpstreamSettings, context: UpstreamContext) -> "Lines":
        return cls(settings, context)

    def mode(self, request: GenerationRequest) -> Mode | None:
        return Mode.STREAM if request.chat_type == "t2x" else None

    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        return ("sampling.seed", "size")

    async def models(self, account: Account) -> Sequence[Model]:
        return (Model(id="one"),)

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        async with open_stream(self.transport, "GET", self.url) as exchange:
            async for data in exchange:
                yield TextDelta(data.decode())
        yield Finish()

    async def aclose(self) -> None:
        return


class ServesAnything(Lines):
    def mode(self, request: GenerationRequest) -> Mode | None:
        return Mode.STREAM


class InventsFields(Lines):
    def ignored(self, request: GenerationRequest) -> Sequence[str]:
        return ("colour",)


class ListsNothing(Lines):
    async def models(self, account: Account) -> Sequence[Model]:
        return ()


class TellsTheAddress(Lines):
    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        try:
            async with aclosing(super().stream(request, account, thread)) as events:
                async for event in events:
                    yield event
        except UpstreamUnreachable as error:
            raise UpstreamUnreachable(f"cannot reach {self.url}") from error


class KeepsConnections(Lines):
    kept: ClassVar[list[Any]] = []

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        exchange = await self.transport.send("GET", self.url)
        self.kept.append(exchange)
        yield TextDelta((await anext(exchange)).decode())
        yield Finish()


class MixesCalls(Lines):
    said = ""

    async def stream(
        self, request: GenerationRequest, account: Account, thread: Thread | None
    ) -> AsyncGenerator[AnyEvent, None]:
        async with aclosing(super().stream(request, account, thread)) as events:
            async for event in events:
                self.said += "x"
                yield event
        yield TextDelta(self.said)


class Lenient(Lines):
    Settings = msgspec.defstruct("Settings", [("base_url", str)], frozen=True)  # type: ignore[assignment]


def upstream_case(upstream: type[Lines]) -> UpstreamConformance:
    class Case(UpstreamConformance):
        plugin = upstream  # type: ignore[assignment]
        requests = (REQUEST,)

        @asynccontextmanager
        async def provider(self) -> AsyncGenerator[dict[str, Any], None]:
            async with serve(lambda _: stream_reply(*[b"line\n"] * 100)) as wire:
                yield {"base_url": wire.url}

    return Case()


@pytest.mark.parametrize("name", [name for name in dir(UpstreamConformance) if name.startswith("test_")])
def test_a_good_upstream_passes(name: str) -> None:
    getattr(upstream_case(Lines), name)()


@pytest.mark.parametrize(
    ("upstream", "name"),
    [
        (ServesAnything, "test_mode_knows_what_is_served"),
        (InventsFields, "test_ignored_fields_are_named_as_in_the_request"),
        (ListsNothing, "test_models_are_listed_once_each"),
        (TellsTheAddress, "test_a_provider_that_is_gone_is_an_upstream_error"),
        (KeepsConnections, "test_closing_anywhere_closes_the_call"),
        (MixesCalls, "test_calls_at_the_same_time_do_not_mix"),
        (MixesCalls, "test_streams_follow_the_grammar"),
        (Lenient, "test_unknown_settings_are_refused"),
    ],
)
def test_a_broken_upstream_is_found(upstream: type[Lines], name: str) -> None:
    with pytest.raises(AssertionError):
        getattr(upstream_case(upstream), name)()


async def _never(request: GenerationRequest) -> None:
    async with ScriptedRun().lease(request) as lease:
        await anext(lease.upstream.stream(request, lease.account, None))


@pytest.mark.anyio
async def test_a_generator_may_not_go_round_its_lease() -> None:
    with pytest.raises(AssertionError, match="never the upstream"):
        await _never(REQUEST)
