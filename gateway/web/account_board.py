"""The accounts as operators see them: what was learned here, beside what their providers tell."""

import time
from collections.abc import Mapping, Sequence

import msgspec

from gateway.accounts.pool import AccountPool, AccountStatus
from gateway.plugin_api.protocols import TellingUpstream, Upstream

__all__ = ["AccountBoard", "AccountLine"]


class AccountLine(AccountStatus, frozen=True, kw_only=True):
    """An account in one respect; `limit`, `remaining` and `reset` (unix seconds) as its provider told last.

    Without a provider's word `reset` is the end of a rest.
    """

    limit: int | None = None
    remaining: int | None = None
    reset: float | None = None


class AccountBoard:
    """Puts the pool's word and the upstreams' together when somebody looks."""

    def __init__(self, pool: AccountPool, upstreams: Mapping[str, Upstream]) -> None:
        self._pool = pool
        self._upstreams = upstreams

    def lines(self) -> Sequence[AccountLine]:
        """Return what is known of every account, as a whole and for each chat type that was asked for."""
        now = time.time()
        return [self._line(status, now) for status in self._pool.status()]

    def available(self, upstream: str, chat_type: str) -> int:
        """Return how many accounts could serve now or when they have finished what they do."""
        return self._pool.available(upstream, chat_type)

    def _line(self, status: AccountStatus, now: float) -> AccountLine:
        line = msgspec.convert(status, AccountLine, from_attributes=True)
        rest = status.until if status.until and status.until > now else None
        upstream = self._upstreams.get(status.upstream)
        told = (
            upstream.allowance(status.account, status.chat_type)
            if isinstance(upstream, TellingUpstream)
            else None
        )
        if told is None or told.reset <= now:
            return msgspec.structs.replace(line, reset=rest)
        reset = max(told.reset, rest or 0.0)
        return msgspec.structs.replace(line, limit=told.limit, remaining=told.remaining, reset=reset)
