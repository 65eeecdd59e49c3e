"""Text to video: one prompt, one film."""

from collections.abc import AsyncGenerator
from typing import Final

from msgspec.structs import replace

from gateway.generation.errors import EmptyAnswer, InvalidRequest
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Run

__all__ = ["VideoGenerator"]

_SIZES = ("16:9", "9:16", "1:1", "4:3", "3:4")


class VideoGenerator:
    """Generates films."""

    chat_type = "t2v"
    costly: Final = True

    async def generate(self, request: GenerationRequest, run: Run) -> AsyncGenerator[AnyEvent, None]:
        """Yield the film, or the task that makes it.

        Raises:
            InvalidRequest: no prompt, a size or a length that is not offered, or more than one film.
            EmptyAnswer: the provider finished without a film.
        """
        filmed = False
        async with run.open_events(_checked(request)) as events:
            async for event in events:
                filmed = filmed or _films(event)
                yield event


def _checked(request: GenerationRequest) -> GenerationRequest:
    """Return the request with its size filled in."""
    if not request.prompt.strip():
        raise InvalidRequest("A film needs a prompt.", param="prompt")
    if request.size and request.size not in _SIZES:
        raise InvalidRequest(f"The size must be one of {', '.join(_SIZES)}.", param="size")
    if request.count != 1:
        raise InvalidRequest("One call makes one film.", param="n")
    if request.seconds is not None and not request.seconds > 0:
        raise InvalidRequest("A film lasts longer than 0 seconds.", param="seconds")
    return request if request.size else replace(request, size=_SIZES[0])


def _films(event: AnyEvent) -> bool:
    """Return whether the event is a result. Raises `EmptyAnswer` at an end without one."""
    if isinstance(event, Finish):
        raise EmptyAnswer("The provider finished without a film.", sent=True)
    return isinstance(event, Media | TaskAccepted)
