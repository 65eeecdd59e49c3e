"""What is known about an account in one respect, and what an outcome changes about it.

Pure functions over values: times come in as unix seconds, chance as a number from 0 to 1.
"""

import math
from typing import Final, Literal, NamedTuple
from urllib.parse import quote, unquote

import msgspec
from msgspec.structs import replace

from gateway.generation.errors import (
    AccountError,
    AccountRejected,
    BurstLimited,
    ChatBusy,
    GatewayError,
    QuotaExhausted,
    RateLimited,
    UpstreamError,
    VerificationRequired,
)

__all__ = ["FOREVER", "Scope", "Standing", "State", "learn", "merge"]

State = Literal["ok", "cooling", "exhausted", "invalid", "needs_attention", "disabled"]

FOREVER: Final = math.inf
"""The deadline of what only an operator can end."""

_MINUTE: Final = 60.0
_DAY: Final = 86_400.0
_BURST_REST: Final = (2.0, 600.0)
_FAULT_REST: Final = (5.0, 60.0)
_QUOTA_REST: Final = 6 * 3600.0
_ATTENTION_REST: Final = (600.0, _DAY)
_ATTENTION_TRIES: Final = 6
"""Times that a human check is met in a row before only an operator can bring the account back."""
_FAULTS_TO_REST: Final = 5
"""Provider faults in a row that open the circuit; fewer change nothing."""
_FULL_RAMP: Final = 32
"""Calls at once after which a returning account is trusted without a limit."""
_JITTER: Final = (0.05, 30.0)


class Scope(NamedTuple):
    """What a standing is about: an account for one chat type, or for one model of it.

    The account as a whole has no chat type; it carries the fingerprint of its credential instead, so
    that a new token starts with a clean standing.
    """

    upstream: str
    account: str
    chat_type: str = ""
    model: str = ""
    credential: str = ""

    @property
    def key(self) -> str:
        """The record's key."""
        return "/".join(quote(part, safe="") for part in self)

    @classmethod
    def from_key(cls, key: str) -> "Scope":
        """Read a record's key back; raises `TypeError` for a foreign one."""
        return cls(*map(unquote, key.split("/")))


class Standing(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Whether an account may be used, from when, and why.

    It rests until `until` (unix seconds; `FOREVER`: an operator must act). `ramp` is the number of calls
    that it may have at once after a rest, 0 for no limit: one probe first, then twice as many with each
    success. `strikes` counts the waves of failures since the last success.
    """

    state: State = "ok"
    until: float = 0.0
    reason: str = ""
    strikes: int = 0
    ramp: int = 0
    requests: int = 0
    failures: int = 0

    @property
    def settled(self) -> bool:
        """Whether a success has nothing to mend."""
        return self.state == "ok" and not self.strikes and not self.ramp

    def same_verdict(self, other: "Standing") -> bool:
        """Whether both say the same, apart from the counts."""
        return replace(self, requests=0, failures=0) == replace(other, requests=0, failures=0)


def learn(
    standing: Standing, error: GatewayError | None, *, begun: float, now: float, jitter: float = 0.0
) -> Standing:
    """Return the standing after a call that began at `begun` and ended with `error`, None for a success.

    Deadlines only grow. What the caller did wrong says nothing about the account.
    """
    if error is None:
        return _recover(replace(standing, requests=standing.requests + 1), begun)
    if not isinstance(error, AccountError | UpstreamError) or isinstance(error, ChatBusy):
        return replace(standing, requests=standing.requests + 1)
    failed = replace(standing, requests=standing.requests + 1, failures=standing.failures + 1)
    # What began before the rest was over belongs to the wave that caused it: calls under way together.
    if begun >= standing.until:
        failed = replace(failed, strikes=standing.strikes + 1)
    return _judge(failed, error, now, jitter)


def merge(stored: Standing, mine: Standing, synced: Standing) -> Standing:
    """Join two replicas' knowledge, both grown from `synced`: the longer rest wins, counts add up."""
    if mine.same_verdict(synced):
        verdict = stored
    elif stored.same_verdict(synced):
        verdict = mine
    else:
        verdict = max(mine, stored, key=lambda standing: standing.until)
    return replace(
        verdict,
        requests=stored.requests + mine.requests - synced.requests,
        failures=stored.failures + mine.failures - synced.failures,
    )


def _recover(standing: Standing, begun: float) -> Standing:
    """Take a success in; a call that began before the rest was over proves nothing."""
    if standing.settled or begun < standing.until:
        return standing
    ramp = standing.ramp * 2
    return replace(standing, state="ok", reason="", strikes=0, ramp=0 if ramp > _FULL_RAMP else ramp)


def _judge(standing: Standing, error: GatewayError, now: float, jitter: float) -> Standing:
    match error:
        case RateLimited():
            seconds = _clamp(error.retry_after, _MINUTE, _DAY, default=_DAY - now % _DAY)
            return _rest(standing, "cooling", "rate_limited", now + _spread(seconds, _DAY, jitter))
        case BurstLimited():
            seconds = _clamp(error.retry_after, 1.0, _DAY, default=_grow(_BURST_REST, standing.strikes))
            return _rest(standing, "cooling", "burst_limited", now + _spread(seconds, _DAY, jitter))
        case QuotaExhausted():
            seconds = _clamp(error.retry_after, _MINUTE, _DAY, default=_QUOTA_REST)
            return _rest(standing, "exhausted", "quota_exhausted", now + _spread(seconds, _DAY, jitter))
        case AccountRejected():
            return _rest(standing, "invalid", "rejected", FOREVER)
        case VerificationRequired():
            return _rest(standing, "needs_attention", "verification_required", _attention(standing, now))
        case _ if standing.strikes >= _FAULTS_TO_REST:
            seconds = _grow(_FAULT_REST, standing.strikes - _FAULTS_TO_REST + 1)
            return _rest(standing, "cooling", "provider_faults", now + _spread(seconds, _DAY, jitter))
        case _:
            return standing


def _rest(standing: Standing, state: State, reason: str, until: float) -> Standing:
    """Begin a rest, unless a longer one is under way."""
    if until <= standing.until:
        return standing
    return replace(standing, state=state, reason=reason, until=until, ramp=1)


def _attention(standing: Standing, now: float) -> float:
    """Return until when not to disturb a provider that asks for a human: longer each time, then for good."""
    if standing.strikes >= _ATTENTION_TRIES:
        return FOREVER
    return now + _grow(_ATTENTION_REST, standing.strikes)


def _clamp(seconds: float | None, low: float, high: float, *, default: float) -> float:
    if seconds is None or math.isnan(seconds):
        seconds = default
    return min(max(seconds, low), high)


def _grow(bounds: tuple[float, float], strikes: int) -> float:
    """Return the first bound, doubled with each strike after the first, up to the second bound."""
    first, last = bounds
    return min(first * 2.0 ** min(max(strikes - 1, 0), 32), last)


def _spread(seconds: float, high: float, jitter: float) -> float:
    """Add a little chance, so that accounts which were limited together do not return together."""
    share, most = _JITTER
    return min(seconds + jitter * min(seconds * share, most), high)
