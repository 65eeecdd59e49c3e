"""What every generator must do, as tests."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from typing import ClassVar

from gateway.generation.errors import AnswerCut, GatewayError, RateLimited
from gateway.generation.events import AnyEvent, Finish, TaskAccepted
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api.protocols import Generator, Mode
from gateway.plugin_api.testing.grammar import check_grammar
from gateway.plugin_api.testing.runs import ScriptedRun

__all__ = ["GeneratorConformance", "StandaloneGeneratorConformance"]


class StandaloneGeneratorConformance:
    """What every generator must do, and all of it for one that asks no upstream.

    Subclass it as ``Test…`` and name the two things below.
    """

    make: ClassVar[Callable[[], Generator]]
    """Makes the generator: its class."""
    request: ClassVar[GenerationRequest]
    """A request that the generator accepts."""
    answer: ClassVar[Sequence[AnyEvent]] = ()
    """What an upstream yields for that request, the finish last."""

    def test_the_chat_type_is_the_requests(self) -> None:
        """The generator answers for the chat type that it names."""
        assert type(self).make().chat_type == self.request.chat_type

    def test_an_answer_passes_by_the_grammar(self) -> None:
        """A streamed answer and a task are passed on, and nothing stays open."""
        for mode in Mode:
            check_grammar(asyncio.run(self._generate(ScriptedRun(self.answer, mode=mode))))

    def test_the_same_request_can_be_served_again(self) -> None:
        """Dispatch fails over by asking again."""
        first, second = (asyncio.run(self._generate(ScriptedRun(self.answer))) for _ in range(2))
        assert first == second

    def test_closing_anywhere_closes_all_that_is_below(self) -> None:
        """A caller who leaves after any event frees the lease and the stream at once."""
        for mode in Mode:
            for count in range(len(self.answer) + 1):
                asyncio.run(self._leave_after(count, ScriptedRun(self.answer, mode=mode)))

    def test_cancelling_anywhere_closes_all_that_is_below(self) -> None:
        """A cancelled call frees the lease and the stream, wherever it waits."""
        for turns in range(3 * len(self.answer) + 6):
            asyncio.run(self._cancel_after(turns, ScriptedRun(self.answer)))

    async def _generate(self, run: ScriptedRun) -> list[AnyEvent]:
        """Return all events; checked inside the loop, whose end would close what was left open."""
        try:
            async with aclosing(type(self).make().generate(self.request, run)) as events:
                return [event async for event in events]
        finally:
            run.check_closed()

    async def _leave_after(self, count: int, run: ScriptedRun) -> None:
        async with aclosing(type(self).make().generate(self.request, run)) as events:
            for _ in range(count):
                await anext(events, None)
        run.check_closed()

    async def _cancel_after(self, turns: int, run: ScriptedRun) -> None:
        call = asyncio.create_task(self._generate(run))
        for _ in range(turns):
            await asyncio.sleep(0)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call


class GeneratorConformance(StandaloneGeneratorConformance):
    """The tests of a generator that has its work done by upstreams: name an `answer`, too."""

    def test_a_task_of_its_own_is_an_answer(self) -> None:
        """A caller who does not wait gets the task and the end."""
        events = (TaskAccepted("task-1"), Finish())
        assert asyncio.run(self._generate(ScriptedRun(events, mode=Mode.TASK))) == list(events)

    def test_success_without_content_is_an_error(self) -> None:
        """A finish alone is never an answer."""
        assert isinstance(asyncio.run(self._fail(ScriptedRun((Finish(),)))), GatewayError)

    def test_errors_pass_unchanged_wherever_they_come(self) -> None:
        """What an upstream raises is what dispatch must see: its class decides about failover."""
        for error in (RateLimited("limited", retry_after=60), AnswerCut("cut", sent=True)):
            for count in range(len(self.answer)):
                run = ScriptedRun(self.answer[:count], error=error)
                assert asyncio.run(self._fail(run)) is error

    async def _fail(self, run: ScriptedRun) -> object:
        (outcome,) = await asyncio.gather(self._generate(run), return_exceptions=True)
        return outcome
