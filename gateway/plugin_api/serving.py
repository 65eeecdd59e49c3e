"""What every generator does: have a request served, whichever way its upstream works."""

from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

from gateway.generation.events import AnyEvent
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api.protocols import Mode, Run

__all__ = ["open_events"]


@asynccontextmanager
async def open_events(
    request: GenerationRequest, run: Run
) -> AsyncGenerator[AsyncGenerator[AnyEvent, None], None]:
    """Hand out the events of one served request; on leaving, all that stands below is closed.

    A stream-mode upstream is called under a lease, a task-mode one gets a durable task.
    """
    if run.mode(request) is Mode.TASK:
        async with aclosing(run.task(request)) as events:
            yield events
    else:
        async with run.lease(request) as lease, aclosing(lease.stream(request)) as events:
            yield events
