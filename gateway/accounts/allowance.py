"""What a provider itself has told of an account's limit."""

import msgspec

__all__ = ["Allowance"]


class Allowance(msgspec.Struct, frozen=True):
    """How many calls an account may make in its window, how many are left, and when all are back.

    `reset` is in unix seconds; after it nothing is known.
    """

    limit: int
    remaining: int
    reset: float
