"""Text to image: one prompt, one to ten pictures."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Final

from msgspec.structs import replace

from gateway.generation.errors import EmptyAnswer, InvalidRequest
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted, Usage
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Lease, Mode, Run

__all__ = ["ImageGenerator"]

_SIZES = ("1:1", "16:9", "9:16", "4:3", "3:4")
_MOST = 10
_AT_ONCE = 4
"""Calls that one account makes at the same time for one request."""


class ImageGenerator:
    """Generates pictures."""

    chat_type = "t2i"
    costly: Final = True

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        """Yield the pictures; several are yielded together, when all of them are there.

        Raises:
            InvalidRequest: no prompt, or a size or count that is not offered.
            EmptyAnswer: the provider finished without a picture.
        """
        request = _checked(request)
        if request.count == 1 or run.mode(request) is Mode.TASK:
            async with run.open_events(request) as events:
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
    async with run.lease(request) as lease:
        first = await _draw(request, lease)
        missing = request.count - sum(isinstance(event, Media) for event in first)
        single = replace(request, count=1)
        # A provider answers one turn of a conversation at a time.
        gate = asyncio.Semaphore(1 if lease.thread else _AT_ONCE)
        try:
            async with asyncio.TaskGroup() as group:
                calls = [group.create_task(_draw(single, lease, gate)) for _ in range(missing)]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from errors
    return _merged(first, [call.result() for call in calls])


async def _draw(
    request: GenerationRequest, lease: Lease, gate: AbstractAsyncContextManager[None] | None = None
) -> list[AnyEvent]:
    async with gate or nullcontext(), aclosing(lease.stream(request)) as events:
        drawn = False
        seen = []
        async for event in events:
            drawn = drawn or _draws(event)
            seen.append(event)
        return seen


def _merged(first: Sequence[AnyEvent], others: Sequence[Sequence[AnyEvent]]) -> list[AnyEvent]:
    """Put the pictures of further answers, and what they cost, into the first one."""
    counts = [[event for event in answer if isinstance(event, Usage)] for answer in (first, *others)]
    usages = [count[-1] for count in counts if count]
    opening = [event for event in first if not isinstance(event, Usage | Finish)]
    pictures = [event for answer in others for event in answer if isinstance(event, Media)]
    return [*opening, *pictures, *([_total(usages)] if usages else ()), first[-1]]


def _total(usages: Sequence[Usage]) -> Usage:
    return replace(
        usages[0],
        input_tokens=sum(usage.input_tokens for usage in usages),
        output_tokens=sum(usage.output_tokens for usage in usages),
        media=sum(usage.media for usage in usages),
    )
