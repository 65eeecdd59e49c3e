"""Counted places and queues in the memory of one process."""

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence

from gateway.state.store import Held, Slot, Turn

__all__ = ["MemoryLeases"]


class MemoryLeases:
    """The `LeaseStore` of one process; its places are free again after a restart."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: defaultdict[str, dict[str, float]] = defaultdict(dict)
        self._queues: dict[str, tuple[float, float]] = {}

    async def acquire(self, slots: Sequence[Slot], *, ttl: float) -> Held | None:
        for slot in slots:
            if len(self._holders(slot.key)) < slot.cap:
                return self._hold(slot.key, secrets.token_hex(8), ttl)
        return None

    async def renew(self, held: Held, *, ttl: float) -> Held | None:
        if held.token not in self._holders(held.slot):
            return None
        return self._hold(held.slot, held.token, ttl)

    async def release(self, held: Held) -> None:
        self._ends[held.slot].pop(held.token, None)
        if not self._ends[held.slot]:
            del self._ends[held.slot]

    async def take_turn(self, queue: str, *, gap: float, patience: float) -> Turn:
        now = self._clock()
        free_turn, free_return = self._queues.get(queue, (now, now))
        turn = max(free_turn, now)
        back = max(free_return, turn)
        in_time = turn - now <= patience
        self._queues[queue] = turn + gap * in_time, back + gap
        return Turn(turn - now if in_time else None, back - now)

    def _hold(self, slot: str, token: str, ttl: float) -> Held:
        self._ends[slot][token] = self._clock() + ttl
        return Held(slot, token, time.time() + ttl)

    def _holders(self, slot: str) -> dict[str, float]:
        """Return who holds a place, after the late ones have lost theirs."""
        now = self._clock()
        ends = {token: end for token, end in self._ends[slot].items() if end > now}
        self._ends[slot] = ends
        return ends
