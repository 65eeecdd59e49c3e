"""What every generator does: have a request served, whichever way its upstream works."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, aclosing
from types import TracebackType

from gateway.generation.events import AnyEvent
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api.protocols import Lease, Mode, Run

__all__ = ["open_events"]


def open_events(
    request: GenerationRequest, run: Run
) -> AbstractAsyncContextManager[AsyncGenerator[AnyEvent, None]]:
    """Hand out the events of one served request; on leaving, all that stands below is closed.

    A stream-mode upstream is called under a lease, a task-mode one gets a durable task.
    """
    if run.mode(request) is Mode.TASK:
        return aclosing(run.task(request))
    return _Leased(request, run.lease(request))


class _Leased(AbstractAsyncContextManager[AsyncGenerator[AnyEvent, None]]):
    """An own class, because `contextlib.asynccontextmanager` costs a generator per call."""

    __slots__ = ("_events", "_lease", "_request")

    def __init__(self, request: GenerationRequest, lease: AbstractAsyncContextManager[Lease]) -> None:
        self._request = request
        self._lease = lease

    async def __aenter__(self) -> AsyncGenerator[AnyEvent, None]:
        lease = await self._lease.__aenter__()
        try:
            self._events = lease.stream(self._request)
        except BaseException as error:
            await self._lease.__aexit__(type(error), error, error.__traceback__)
            raise
        return self._events

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self._events.aclose()
        except BaseException as closing:
            await self._lease.__aexit__(type(closing), closing, closing.__traceback__)
            raise
        await self._lease.__aexit__(kind, error, trace)
