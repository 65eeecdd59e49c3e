"""The contract of the state: small records that outlive a request.

Every table (tasks, conversations, files, idempotency, ledger, overlays) is made of the same records.
Two implementations hold it, `sqlite` and `valkey`; one suite of tests runs over both.
"""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

import msgspec

from gateway.generation.errors import StorageUnavailable

__all__ = [
    "Claim",
    "Conflict",
    "Held",
    "LeaseStore",
    "Record",
    "Slot",
    "StateStore",
    "StoreUnavailable",
    "Turn",
]

_RETRY_SECONDS = 5.0


class StoreUnavailable(StorageUnavailable):
    """The store cannot answer, or cannot keep what it was given. A write may have been made or not.

    `detail` is for operators: it may name files and hosts, which callers never see.
    """

    def __init__(self, detail: str) -> None:
        super().__init__("the gateway cannot reach its state now; try again", retry_after=_RETRY_SECONDS)
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


class Conflict(Exception):
    """Another writer was first: the record is not at the expected version."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row. Times are unix seconds by the store's own clock, 0 for none.

    `version` grows by one with each write, 0 is "does not exist". `owner` and `order` make the row
    listable; `due` makes it claimable; after `expires` it is gone.
    """

    key: str
    value: bytes
    version: int = 0
    owner: str = ""
    order: float = 0.0
    due: float = 0.0
    expires: float = 0.0


class Claim(msgspec.Struct, frozen=True):
    """A due record, ours until `until`. A write with a stale `fence` is a `Conflict`."""

    record: Record
    fence: int
    until: float


class StateStore(Protocol):
    """Records by table and key. Every method may raise `StoreUnavailable`.

    After that, a write may or may not have been made: read again before repeating it.
    """

    async def get(self, table: str, key: str) -> Record | None:
        """Return the record, None when there is none or it has expired."""
        ...

    async def put(
        self, table: str, record: Record, *, durable: bool = False, fence: int | None = None
    ) -> Record:
        """Write if the stored version is still `record.version`; return it with its new version.

        `record.version` 0 creates. `durable`: on disk (and on a replica, where there is one) before it
        returns. `fence`: the write needs the claim that it came with, which it keeps; a claim that ran
        out still serves while nobody else has taken the record.

        Raises:
            Conflict: the version or the fence has moved on.
        """
        ...

    async def delete(self, table: str, key: str) -> bool:
        """Remove the record; False when there was none."""
        ...

    async def list(
        self, table: str, owner: str, *, after: str | None = None, limit: int = 20, newest_first: bool = True
    ) -> Sequence[Record]:
        """Return an owner's records by `order` (then key), from behind the record named `after`.

        Nothing lies behind an `after` that is not there or not the owner's. Owner "" is not listed.
        """
        ...

    async def scan(self, table: str) -> Sequence[Record]:
        """Return a whole table; for small ones that are read at the start (ledger, overlays)."""
        ...

    async def claim_due(self, table: str, *, limit: int, lease_seconds: float) -> Sequence[Claim]:
        """Take records whose `due` has come and that nobody holds, the longest waiting first; atomic.

        The wait begins at `due`, or when an earlier claim ran out. A claim leaves the version alone.
        """
        ...

    async def release(self, table: str, key: str, fence: int, *, due: float) -> None:
        """Give a claimed record back, due again at `due` (0: never); a stale fence does nothing.

        It is a write and takes a version: a holder that goes on reads again.
        """
        ...

    async def now(self) -> float:
        """Return the store's clock in unix seconds."""
        ...

    async def check_durable(self) -> None:
        """Raise `StoreUnavailable` unless a durable write can be kept now (disk, fsync policy, replicas)."""
        ...

    def watch(self, table: str) -> AsyncGenerator[str, None]:
        """Yield keys that were put or deleted, here or in another replica: a hint, to be re-read.

        Yields "" when anything may have changed: first, after every (re)subscription, and every 2 s where
        a hint can be lost. Changes that a slow watcher has not taken yet are told once.
        """
        ...

    async def aclose(self) -> None:
        """Flush and close."""
        ...


class Slot(msgspec.Struct, frozen=True):
    """A place that at most `cap` holders may have at once, over all replicas."""

    key: str
    cap: int


class Held(msgspec.Struct, frozen=True):
    """A place that we hold until `until` (unix seconds, the store's clock), unless renewed."""

    slot: str
    token: str
    until: float


class Turn(msgspec.Struct, frozen=True):
    """A turn in a queue: ours in `wait` seconds, None when there is none in time.

    `back` is the seconds until the place that is kept for our return, with a turn or without.
    """

    wait: float | None
    back: float


class LeaseStore(Protocol):
    """Counted places with expiry, and queues: whoever takes a place or a turn and dies holds nobody up."""

    async def acquire(self, slots: Sequence[Slot], *, ttl: float) -> Held | None:
        """Take a place in the first slot that has one, in one atomic step; None when all are full."""
        ...

    async def renew(self, held: Held, *, ttl: float) -> Held | None:
        """Hold on for `ttl` seconds more; None when the place was lost."""
        ...

    async def release(self, held: Held) -> None:
        """Give the place back; giving back what was lost does nothing."""
        ...

    async def take_turn(self, queue: str, *, gap: float, patience: float) -> Turn:
        """Take the first free turn if it comes within `patience`, and a place for the return in any case.

        Turns are at least `gap` seconds apart over all replicas. Returns are so too, which keeps many
        visitors in their order and the queue short.
        """
        ...
