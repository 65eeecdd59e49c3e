"""Text to image: one prompt, one to ten pictures."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from msgspec.structs import replace

from gateway.generation.errors import EmptyAnswer, InvalidRequest
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted, Usage
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Mode, Run, open_events

__all__ = ["ImageGenerator"]

_SIZES = ("1:1", "16:9", "9:16", "4:3", "3:4")
_MOST = 10


class ImageGenerator:
    """Generates pictures."""

    chat_type = "t2i"

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        """Yield the pictures; several are yielded together, when all of them are there.

        Raises:
            InvalidRequest: no prompt, or a size or count that is not offered.
            EmptyAnswer: the provider finished without a picture.
        """
        request = _checked(request)
        if request.count == 1 or run.mode(request) is Mode.TASK:
            async with open_events(request, run) as events:
                drawn = False
                async for event in events:
                    drawn = drawn or _draws(event)
                    yield event
        else:
            for event in await _draw_all(request, run):
                yield event


def _checked(request: GenerationRequest) -> GenerationRequest:
    """Return the request with its size filled in."""
    if not request.prompt.strip():
        raise InvalidRequest("A picture needs a prompt.", param="prompt")
    if request.size and request.size not in _SIZES:
        raise InvalidRequest(f"The size must be one of {', '.join(_SIZES)}.", param="size")
    if not 1 <= request.count <= _MOST:
        raise InvalidRequest(f"There can be 1 to {_MOST} pictures.", param="n")
    return request if request.size else replace(request, size=_SIZES[0])


def _draws(event: AnyEvent) -> bool:
    """Return whether the event is a result. Raises `EmptyAnswer` at an end without one."""
    if isinstance(event, Finish):
        raise EmptyAnswer("The provider finished without a picture.", sent=True)
    return isinstance(event, Media | TaskAccepted)


async def _draw_all(request: GenerationRequest, run: Run) -> list[AnyEvent]:
    """Make all pictures or raise; what one call leaves open, further calls of one picture each fill up."""
    events = await _draw(request, run)
    missing = request.count - sum(isinstance(event, Media) for event in events)
    if missing <= 0:
        return events
    single = replace(request, count=1)
    # A provider answers one turn of a conversation at a time.
    gate = asyncio.Semaphore(1 if request.continuation else missing)
    try:
        async with asyncio.TaskGroup() as group:
            calls = [group.create_task(_draw(single, run, gate)) for _ in range(missing)]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    return _merged([events, *(call.result() for call in calls)])


async def _draw(
    request: GenerationRequest, run: Run, gate: asyncio.Semaphore | None = None
) -> list[AnyEvent]:
    async with gate or asyncio.Semaphore(), open_events(request, run) as events:
        drawn = False
        seen = []
        async for event in events:
            drawn = drawn or _draws(event)
            seen.append(event)
        return seen


def _merged(answers: Sequence[Sequence[AnyEvent]]) -> list[AnyEvent]:
    """Make one answer of several: each one's last usage counts, and the first finish ends it."""
    events = [event for answer in answers for event in answer]
    counts = [[event for event in answer if isinstance(event, Usage)] for answer in answers]
    usages = [count[-1] for count in counts if count]
    rest = [event for event in events if not isinstance(event, Usage | Finish)]
    total = [_total(usages)] if usages else []
    return [*rest, *total, next(event for event in events if isinstance(event, Finish))]


def _total(usages: Sequence[Usage]) -> Usage:
    return replace(
        usages[0],
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        media=sum(usage.media for usage in usages),
    )
