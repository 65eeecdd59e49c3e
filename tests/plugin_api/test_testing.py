"""The conformance kit finds what it is there to find: each broken plugin fails the right test."""

from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Any, ClassVar

import pytest

from gateway.generation.errors import EmptyAnswer, UpstreamUnavailable
from gateway.generation.events import AnyEvent, Failure, Finish, Media, TaskAccepted, TextDelta
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api import Run, open_events
from gateway.plugin_api.testing import GeneratorConformance, ScriptedRun, check_grammar

REQUEST = GenerationRequest(chat_type="t2x", messages=(Message("user", (TextPart("Hi"),)),))
MEDIA = Media("image", "u")


@pytest.mark.parametrize(
    "events",
    [
        [],
        [TextDelta("a")],
        [Finish(), Finish()],
        [Finish(), TextDelta("a")],
        [Failure("c", "m")],
        [TaskAccepted("a"), TaskAccepted("b"), Finish()],
        [MEDIA, TaskAccepted("a"), Finish()],
    ],
)
def test_what_is_against_the_grammar(events: list[AnyEvent]) -> None:
    with pytest.raises(AssertionError):
        check_grammar(events)


def test_a_failure_may_end_what_a_client_sees() -> None:
    check_grammar([TextDelta("a"), Failure("c", "m")], failures=True)
    with pytest.raises(AssertionError):
        check_grammar([Failure("c", "m"), Finish()], failures=True)


class Good:
    chat_type = "t2x"

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        answered = False
        async with open_events(request, run) as events:
            async for event in events:
                if isinstance(event, Finish) and not answered:
                    raise EmptyAnswer("Nothing.")
                answered = True
                yield event


class Misnamed(Good):
    chat_type = "t2y"


class KeepsTheEnd(Good):
    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        async with open_events(request, run) as events:
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
            async with open_events(request, run) as events:
                async for event in events:
                    yield event


class Renames(Good):
    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        try:
            async with open_events(request, run) as events:
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


async def _never(request: GenerationRequest) -> None:
    async with ScriptedRun().lease(request) as lease:
        await anext(lease.upstream.stream(request, lease.account, None))


@pytest.mark.anyio
async def test_a_generator_may_not_go_round_its_lease() -> None:
    with pytest.raises(AssertionError, match="never the upstream"):
        await _never(REQUEST)
