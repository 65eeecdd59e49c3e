"""Media that take time to be read, once their provider has nothing more to say."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from gateway.generation.errors import GatewayError
from gateway.generation.events import AnyEvent, Media

__all__ = ["whole_media"]


async def whole_media(
    events: AsyncGenerator[AnyEvent, None], must_read: Callable[[Media], bool]
) -> AsyncGenerator[AnyEvent, None]:
    """Yield events; from a medium on that takes time to read, those that are left at the provider's end.

    Until then the account is lent out, and the provider's connection open.
    """
    held: list[AnyEvent] = []
    cut: GatewayError | None = None
    try:
        async with aclosing(events):
            async for event in events:
                if held or (type(event) is Media and must_read(event)):
                    held.append(event)
                else:
                    yield event
    except GatewayError as error:
        if not held:
            raise
        cut = error
    for event in held:
        yield event
    if cut is not None:
        raise cut
