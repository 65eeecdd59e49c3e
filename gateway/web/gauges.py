"""Gauges that are brought up to date when somebody looks at them."""

import asyncio
from collections.abc import Sequence
from typing import get_args

from gateway.accounts.standing import State
from gateway.telemetry.metrics import Metrics
from gateway.web.account_board import AccountBoard, AccountLine

__all__ = ["Gauges", "LoopWatch"]

_LOOK_SECONDS = 0.25
_STATES: tuple[str, ...] = get_args(State)


class LoopWatch:
    """Measures how late the event loop comes back to what is due."""

    def __init__(self) -> None:
        self._worst = 0.0
        self._due = 0.0

    async def run(self) -> None:
        """Measure for ever."""
        loop = asyncio.get_running_loop()
        while True:
            self._due = loop.time() + _LOOK_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)
            self._note(loop.time())

    def take_worst(self) -> float:
        """Return the worst delay since the last call, one that still lasts included, in seconds."""
        self._note(asyncio.get_running_loop().time())
        worst, self._worst = self._worst, 0.0
        return worst

    def _note(self, now: float) -> None:
        if self._due:
            self._worst = max(self._worst, now - self._due)


class Gauges:
    """What `/metrics` tells about the present: accounts, event loop."""

    def __init__(
        self,
        metrics: Metrics,
        board: AccountBoard,
        watch: LoopWatch,
        upstreams: Sequence[str],
        chat_types: Sequence[str],
    ) -> None:
        self._metrics = metrics
        self._board = board
        self._watch = watch
        self._upstreams = upstreams
        self._chat_types = chat_types
        self._by_account = (
            metrics.account_state,
            metrics.account_in_flight,
            metrics.account_limit,
            metrics.account_remaining,
            metrics.account_reset,
        )

    def refresh(self, *, draining: bool) -> None:
        """Set every gauge anew; accounts that are gone leave no series behind."""
        metrics = self._metrics
        metrics.draining.set(draining)
        metrics.loop_lag_seconds.set(self._watch.take_worst())
        metrics.accounts_available.clear()
        for upstream in self._upstreams:
            for chat_type in self._chat_types:
                available = self._board.available(upstream, chat_type)
                metrics.set(metrics.accounts_available, available, upstream, chat_type)
        for gauge in self._by_account:
            gauge.clear()
        for line in self._board.lines():
            if not line.model:
                self._show(line)

    def _show(self, line: AccountLine) -> None:
        metrics, account = self._metrics, f"{line.upstream}/{line.account}"
        for state in _STATES:
            metrics.set(metrics.account_state, line.state == state, account, line.chat_type, state)
        if not line.chat_type:
            metrics.set(metrics.account_in_flight, line.in_flight, account)
        told = (
            (metrics.account_limit, line.limit),
            (metrics.account_remaining, line.remaining),
            (metrics.account_reset, line.reset),
        )
        for gauge, value in told:
            if value is not None:
                metrics.set(gauge, value, account, line.chat_type)
