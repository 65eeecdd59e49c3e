from contextlib import aclosing

import pytest
from msgspec.structs import replace

from gateway.generation.errors import EmptyAnswer, InvalidRequest
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted, Usage
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.plugin_api import Mode
from gateway.plugin_api.testing import ScriptedRun
from gateway_t2v import VideoGenerator

pytestmark = pytest.mark.anyio
SEA = GenerationRequest(chat_type="t2v", messages=(Message("user", (TextPart("The sea"),)),))
FILM = (TaskAccepted("task-1"), Media("video", url="https://example.test/a.mp4"), Finish())


async def generate(request: GenerationRequest, run: ScriptedRun) -> list[AnyEvent]:
    async with aclosing(VideoGenerator().generate(request, run)) as answer:
        return [event async for event in answer]


@pytest.mark.parametrize("mode", list(Mode))
@pytest.mark.parametrize(("size", "sent"), [("", "16:9"), ("9:16", "9:16"), ("1:1", "1:1"), ("4:3", "4:3")])
async def test_sizes_are_passed_down(mode: Mode, size: str, sent: str) -> None:
    run = ScriptedRun(FILM, mode=mode)
    assert await generate(replace(SEA, size=size), run) == list(FILM)
    assert run.requests[0].size == sent


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"size": "21:9"}, "size"),
        ({"size": "1280x720"}, "size"),
        ({"count": 2}, "n"),
        ({"seconds": 0.0}, "seconds"),
        ({"seconds": float("nan")}, "seconds"),
        ({"messages": ()}, "prompt"),
        ({"messages": (Message("user", (TextPart(""),)),)}, "prompt"),
    ],
)
async def test_what_is_not_offered_is_refused_before_it_costs_money(
    change: dict[str, object], param: str
) -> None:
    run = ScriptedRun(FILM, mode=Mode.TASK)
    with pytest.raises(InvalidRequest) as caught:
        await generate(replace(SEA, **change), run)
    assert caught.value.param == param
    assert not run.requests


async def test_a_caller_who_does_not_wait_gets_the_task() -> None:
    events = [TaskAccepted("task-1"), Finish()]
    assert await generate(SEA, ScriptedRun(events, mode=Mode.TASK)) == events


async def test_an_answer_without_a_film_is_an_error() -> None:
    with pytest.raises(EmptyAnswer):
        await generate(SEA, ScriptedRun((Usage(1), Finish())))
