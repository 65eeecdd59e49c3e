"""What happens often and is the same each time is worked on for many at once."""

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from typing import Final, Generic, TypeVar

__all__ = ["Batch"]

_MOST: Final = 256
"""Things that wait at most; what is known of so many requests takes about 100 KB."""

T = TypeVar("T")


class Batch(Generic[T]):
    """Things that wait to be worked on: until there are many of them, or until `empty` is called.

    `work` gets those of one `kind` together, in the order in which they came.
    """

    def __init__(self, kind: Callable[[T], Hashable], work: Callable[[Sequence[T]], None]) -> None:
        self._kind = kind
        self._work = work
        self._waiting: list[T] = []

    def add(self, thing: T) -> None:
        """Let a thing wait; nobody may change it any more."""
        self._waiting.append(thing)
        if len(self._waiting) >= _MOST:
            self.empty()

    def empty(self) -> None:
        """Work on all that waits."""
        waiting, self._waiting = self._waiting, []
        kinds = defaultdict[Hashable, list[T]](list)
        for thing in waiting:
            kinds[self._kind(thing)].append(thing)
        for alike in kinds.values():
            self._work(alike)
