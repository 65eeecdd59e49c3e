"""What a caller is told who gets no account, and when to come back."""

import math
from typing import Final

from gateway.accounts.shelf import Seat
from gateway.generation.errors import AllAccountsLimited, GatewayError, NoUsableAccount, Overloaded

__all__ = ["all_tried", "limited", "no_account", "too_busy", "unusable"]

_LEAST_SECONDS: Final = 1.0
_CURES: Final = {
    "invalid": "The provider refuses the token of every account: the operator must put a new one in.",
    "needs_attention": "The provider asks for a human check: the operator must open its site once.",
    "disabled": "The operator has disabled every account that could serve this.",
}
_VERIFICATION: Final = "upstream_verification_required"
_USED_UP: Final = "You've reached the upper limit for today's usage."
"""The provider's own words, which clients of the native API know."""


def limited(chat_type: str, seat: Seat, now: float, *, bound: bool) -> GatewayError:
    """Every account rests; `seat` is the first to come back."""
    seconds = max(seat.rests_until - now, _LEAST_SECONDS)
    match seat.standing.reason:
        case "provider_faults":
            return Overloaded(
                f"The provider failed several times in a row; try again in {math.ceil(seconds)} s.",
                retry_after=seconds,
            )
        case "verification_required":
            return Overloaded(_CURES["needs_attention"], code=_VERIFICATION, retry_after=seconds)
        case "rate_limited":
            return AllAccountsLimited(_USED_UP, retry_after=seconds)
    who = "The account that this belongs to is" if bound else "All accounts are"
    return AllAccountsLimited(
        f"{who} limited for {chat_type}; try again in {math.ceil(seconds)} s.", retry_after=seconds
    )


def unusable(seat: Seat) -> GatewayError:
    """No account comes back by itself; `seat` is one of them."""
    state = seat.standing.state
    return NoUsableAccount(_CURES[state], code=_VERIFICATION if state == "needs_attention" else None)


def no_account(chat_type: str, *, bound: bool) -> GatewayError:
    """There is no account that could ever serve this."""
    if bound:
        return NoUsableAccount("The account that this belongs to is no longer configured.")
    return NoUsableAccount(f"No account is configured for {chat_type}.")


def all_tried(chat_type: str) -> GatewayError:
    """Every account that could serve this was tried for the same request."""
    return Overloaded(f"Every usable account for {chat_type} was tried.")


def too_busy(chat_type: str) -> GatewayError:
    """Nothing became free in time."""
    return Overloaded(
        f"All accounts for {chat_type} are busy; try again shortly.", retry_after=_LEAST_SECONDS
    )
