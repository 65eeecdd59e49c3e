import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

import pytest
from msgspec.structs import replace

from gateway.generation.errors import EmptyAnswer, InvalidRequest, RateLimited
from gateway.generation.events import AnyEvent, Finish, Media, Progress, TaskAccepted, Thread, Usage
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api import Mode
from gateway.plugin_api.testing import ScriptedRun
from gateway_t2i import ImageGenerator

pytestmark = pytest.mark.anyio
CAT = GenerationRequest(chat_type="t2i", messages=(Message("user", (TextPart("A cat"),)),))
PICTURE = Media("image", url="https://example.test/a.png")
ONE = (Usage(1), Progress(0.5), PICTURE, Usage(1, 2, media=1, width=8, height=9), Finish())


async def generate(request: GenerationRequest, run: ScriptedRun) -> list[AnyEvent]:
    async with aclosing(ImageGenerator().generate(request, run)) as answer:
        return [event async for event in answer]


@pytest.mark.parametrize("size", ["1:1", "16:9", "9:16", "4:3", "3:4"])
async def test_sizes_are_passed_down(size: str) -> None:
    run = ScriptedRun(ONE)
    assert await generate(replace(CAT, size=size), run) == list(ONE)
    assert run.requests[0].size == size


async def test_a_picture_is_square_unless_asked_otherwise() -> None:
    run = ScriptedRun(ONE)
    await generate(CAT, run)
    assert run.requests[0].size == "1:1"


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"size": "2:1"}, "size"),
        ({"size": "1024x1024"}, "size"),
        ({"count": 0}, "n"),
        ({"count": 11}, "n"),
        ({"messages": ()}, "prompt"),
        ({"messages": (Message("user", (TextPart(" \n"),)),)}, "prompt"),
        ({"messages": (Message("system", (TextPart("A cat"),)),)}, "prompt"),
    ],
)
async def test_what_is_not_offered_is_refused_before_a_lease(change: dict[str, object], param: str) -> None:
    run = ScriptedRun(ONE)
    with pytest.raises(InvalidRequest) as caught:
        await generate(replace(CAT, **change), run)
    assert caught.value.param == param
    assert not run.requests
    if param == "size":
        assert all(size in caught.value.message for size in ("1:1", "16:9", "9:16", "4:3", "3:4"))


async def test_one_call_is_enough_when_it_brings_all() -> None:
    run = ScriptedRun((PICTURE, PICTURE, PICTURE, Usage(media=3), Finish()))
    assert sum(isinstance(event, Media) for event in await generate(replace(CAT, count=3), run)) == 3
    assert [request.count for request in run.requests] == [3]


async def test_what_is_missing_is_made_by_calls_of_one_under_the_same_lease() -> None:
    run = ScriptedRun((Thread("chat"), *ONE))
    events = await generate(replace(CAT, count=7), run)
    assert [event for event in events if isinstance(event, Media)] == [PICTURE] * 7
    assert [event for event in events if isinstance(event, Thread)] == [Thread("chat")]
    assert events[-2:] == [Usage(7, 14, media=7, width=8, height=9), Finish()]
    assert [request.count for request in run.requests] == [7, 1, 1, 1, 1, 1, 1]
    assert (run.most_leases, run.most_streams) == (1, 4)
    run.check_closed()


async def test_turns_of_a_conversation_come_one_after_another() -> None:
    run = ScriptedRun(ONE, thread=Thread("chat"))
    await generate(replace(CAT, count=4), run)
    assert (len(run.requests), run.most_streams) == (4, 1)


class FailsLater(ScriptedRun):
    """Serves `good` calls, then refuses; the refusal comes while others are under way."""

    def __init__(self, good: int) -> None:
        super().__init__(ONE)
        self.good = good
        self.error = RateLimited("limited", retry_after=3600)

    async def play(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        refused = len(self.requests) >= self.good
        async with aclosing(super().play(request)) as events:
            async for event in events:
                if refused:
                    raise self.error
                yield event


@pytest.mark.parametrize("good", [0, 1, 2, 3])
async def test_all_or_the_error_of_the_first_that_fails(good: int) -> None:
    run = FailsLater(good)
    seen = []
    with pytest.raises(RateLimited) as caught:  # noqa: PT012
        async with aclosing(ImageGenerator().generate(replace(CAT, count=4), run)) as events:
            async for event in events:
                seen.append(event)  # noqa: PERF401
    assert caught.value is run.error
    assert seen == []
    run.check_closed()


async def test_cancelling_closes_every_call() -> None:
    for turns in range(0, 40, 3):
        run = ScriptedRun(ONE)
        call = asyncio.create_task(generate(replace(CAT, count=5), run))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        run.check_closed()


@pytest.mark.parametrize("count", [1, 2])
async def test_an_answer_without_a_picture_is_an_error(count: int) -> None:
    with pytest.raises(EmptyAnswer):
        await generate(replace(CAT, count=count), ScriptedRun((Usage(1), Finish())))


async def test_a_task_makes_all_pictures_itself() -> None:
    events = [TaskAccepted("task-1"), Finish()]
    run = ScriptedRun(events, mode=Mode.TASK)
    assert await generate(replace(CAT, count=4), run) == events
    assert [request.count for request in run.requests] == [4]
