"""Things wait, but never too many of them, and none is lost or worked on twice."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry.batch import Batch


@given(st.lists(st.integers(0, 5) | st.none(), max_size=30))
def test_everything_is_worked_on_once_by_kind_and_in_order(steps: list[int | None]) -> None:
    """A step adds a thing or, where it is None, empties the batch."""
    done: list[list[tuple[int, int]]] = []
    batch = Batch[tuple[int, int]](lambda thing: thing[0], lambda alike: done.append(list(alike)))
    added = [(kind, number) for number, kind in enumerate(steps) if kind is not None]
    for number, kind in enumerate(steps):
        if kind is None:
            batch.empty()
            assert sum(map(len, done)) == sum(step is not None for step in steps[:number])
        else:
            batch.add((kind, number))
    batch.empty()
    assert all(len({kind for kind, _ in alike}) == 1 for alike in done)
    for kind in range(6):
        assert [thing for alike in done for thing in alike if thing[0] == kind] == [
            thing for thing in added if thing[0] == kind
        ]


def test_what_nobody_asks_for_does_not_pile_up() -> None:
    done = 0

    def work(alike: Sequence[int]) -> None:
        nonlocal done
        done += len(alike)

    batch = Batch[int](bool, work)
    for number in range(1, 2000):
        batch.add(number)
        assert number - done < 256
