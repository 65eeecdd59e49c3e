"""What a soak makes of its samples."""

import pytest

from tests.bench.soak import Point, slope


def points(grown: float, warm_up: int = 0) -> list[Point]:
    """Thirty turns of 1,000 answers, each of which leaves `grown` bytes; the first ten leave more."""
    return [
        Point(1000 * turn, 0, 70_000_000 + int(grown * 1000 * turn) + warm_up * min(turn, 10))
        for turn in range(30)
    ]


@pytest.mark.parametrize("grown", [0.0, 16.0, 400.0])
def test_the_slope_is_what_an_answer_leaves_behind(grown: float) -> None:
    assert slope(points(grown)) == pytest.approx(grown, abs=0.01)


def test_what_is_gained_while_warming_up_is_no_leak() -> None:
    assert slope(points(0.0, warm_up=500_000)) == pytest.approx(0.0, abs=0.01)
