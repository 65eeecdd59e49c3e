"""Callers that wait for an account, first come first served."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

__all__ = ["WaitingRoom"]

_Line = TypeVar("_Line", bound=Hashable)
_Wish = TypeVar("_Wish")
_Thing = TypeVar("_Thing")


class _Waiter(Generic[_Line, _Wish, _Thing]):
    __slots__ = ("lines", "turn", "wish")

    def __init__(self, wish: _Wish, lines: Sequence[_Line], turn: "asyncio.Future[_Thing | None]") -> None:
        self.wish = wish
        self.lines = lines
        self.turn = turn


class WaitingRoom(Generic[_Line, _Wish, _Thing]):
    """Lines of waiters; one waiter may stand in several.

    What becomes free is put into the first waiter's hand, so that nobody who comes later can take it.
    `take` gets a thing for a wish, None when there is none for it; `put_back` undoes a `take`.
    """

    def __init__(self, take: Callable[[_Wish], _Thing | None], put_back: Callable[[_Thing], None]) -> None:
        self._take = take
        self._put_back = put_back
        self._lines: dict[_Line, OrderedDict[_Waiter[_Line, _Wish, _Thing], None]] = {}

    def __bool__(self) -> bool:
        return bool(self._lines)

    def lines(self) -> list[_Line]:
        """Return the names of the lines that somebody stands in."""
        return list(self._lines)

    async def wait(self, wish: _Wish, lines: Sequence[_Line], seconds: float) -> _Thing | None:
        """Stand in line; None when the time is over or the wish should be thought over."""
        loop = asyncio.get_running_loop()
        waiter = _Waiter[_Line, _Wish, _Thing](wish, lines, loop.create_future())
        timer = loop.call_later(seconds, self._answer, waiter, None)
        self._enter(waiter)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            if waiter.turn.done() and not waiter.turn.cancelled():
                thing = waiter.turn.result()
                if thing is not None:
                    self._put_back(thing)
            raise
        finally:
            timer.cancel()
            self._leave(waiter)

    def serve_one(self, line: _Line) -> bool:
        """Give the first waiter in line what it wishes for, if there is such a thing for any of them."""
        for waiter in self._lines.get(line, ()):
            # One that was cancelled stands in line until its task has run.
            thing = None if waiter.turn.done() else self._take(waiter.wish)
            if thing is not None:
                self._answer(waiter, thing)
                return True
        return False

    def dismiss(self, line: _Line) -> None:
        """Let everybody in line think over whether waiting makes sense."""
        for waiter in tuple(self._lines.get(line, ())):
            self._answer(waiter, None)

    def _answer(self, waiter: _Waiter[_Line, _Wish, _Thing], thing: _Thing | None) -> None:
        self._leave(waiter)
        if not waiter.turn.done():
            waiter.turn.set_result(thing)

    def _enter(self, waiter: _Waiter[_Line, _Wish, _Thing]) -> None:
        for name in waiter.lines:
            self._lines.setdefault(name, OrderedDict())[waiter] = None

    def _leave(self, waiter: _Waiter[_Line, _Wish, _Thing]) -> None:
        for name in waiter.lines:
            line = self._lines.get(name)
            if line is not None:
                line.pop(waiter, None)
                if not line:
                    del self._lines[name]
