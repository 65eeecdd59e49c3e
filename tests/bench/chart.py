"""A growth chart as SVG: one small panel per axis, both scales logarithmic."""

import math
from collections.abc import Iterator, Sequence
from html import escape

import msgspec

__all__ = ["Curve", "draw"]

_PANEL_WIDTH, _PANEL_HEIGHT = 300, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 22, 52, 34
_HEADING = 48
_COLUMNS = 3

_STYLE = """
text { font: 11px system-ui, sans-serif; fill: #57606a }
.heading { font-size: 16px; font-weight: 600; fill: #1f2328 }
.title { font-size: 12px; font-weight: 600; fill: #1f2328 }
.power { fill: #0969da; font-weight: 600 }
.exponent { font-size: 9px }
.grid { stroke: #d8dee4; stroke-width: 1 }
.fit { stroke: #0969da; stroke-width: 1.5; stroke-dasharray: 4 4; opacity: .5 }
.curve { stroke: #0969da; stroke-width: 2; fill: none; stroke-linejoin: round }
.dot { fill: #ffffff; stroke: #0969da; stroke-width: 2 }
"""


class Curve(msgspec.Struct, frozen=True):
    """Costs in microseconds of CPU at some sizes, and the exponent fitted to them."""

    title: str
    sizes: Sequence[int]
    costs: Sequence[float]
    exponent: float


class _Scale(msgspec.Struct, frozen=True):
    """Maps whole decades from `low` to `high` onto pixels from `start` to `end`."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        share = (math.log10(value) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def decades(self) -> range:
        return range(self.low, self.high + 1)


def draw(curves: Sequence[Curve], heading: str) -> str:
    """The whole chart; all panels share the cost scale, so that their slopes compare."""
    columns = min(_COLUMNS, len(curves))
    rows = math.ceil(len(curves) / columns)
    width, height = columns * _PANEL_WIDTH, _HEADING + rows * _PANEL_HEIGHT
    costs = [cost for curve in curves for cost in curve.costs]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text class="heading" x="{_LEFT}" y="30">{escape(heading)}</text>',
    ]
    for number, curve in enumerate(curves):
        x, y = number % columns * _PANEL_WIDTH, _HEADING + number // columns * _PANEL_HEIGHT
        parts += [f'<g transform="translate({x} {y})">', *_panel(curve, costs), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _panel(curve: Curve, all_costs: Sequence[float]) -> Iterator[str]:
    across = _scale(curve.sizes, _LEFT, _PANEL_WIDTH - _RIGHT)
    up = _scale(all_costs, _PANEL_HEIGHT - _BOTTOM, _TOP)
    yield f'<text class="title" x="{_LEFT}" y="20">{escape(curve.title)}</text>'
    yield f'<text x="{_LEFT}" y="38">µs of CPU ~ {_power(curve.exponent)}</text>'
    yield from _grid(across, up)
    yield _fit(curve, across, up)
    points = [(across.at(size), up.at(cost)) for size, cost in zip(curve.sizes, curve.costs, strict=True)]
    yield f'<polyline class="curve" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>'
    for x, y in points:
        yield f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'


def _grid(across: _Scale, up: _Scale) -> Iterator[str]:
    for decade in across.decades():
        x = across.at(10**decade)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{up.start}" y2="{up.end}"/>'
        yield f'<text x="{x:.1f}" y="{up.start + 18}" text-anchor="middle">{_short(10**decade)}</text>'
    for decade in up.decades():
        y = up.at(10**decade)
        yield f'<line class="grid" x1="{across.start}" x2="{across.end}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{across.start - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(10**decade)}</text>'


def _power(exponent: float) -> str:
    return f'<tspan class="power">n<tspan class="exponent" dy="-4">{exponent:.2f}</tspan></tspan>'


def _short(number: float) -> str:
    return f"{number / 1_000:,.0f}k" if number >= 1_000 else f"{number:g}"


def _fit(curve: Curve, across: _Scale, up: _Scale) -> str:
    """The fitted line passes through the mean of the logarithms."""
    middle_size, middle_cost = _geometric_mean(curve.sizes), _geometric_mean(curve.costs)
    ends = [
        (across.at(size), up.at(middle_cost * (size / middle_size) ** curve.exponent))
        for size in (curve.sizes[0], curve.sizes[-1])
    ]
    (x1, y1), (x2, y2) = ends
    return f'<line class="fit" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _scale(values: Sequence[float], start: float, end: float) -> _Scale:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return _Scale(low, max(high, low + 1), start, end)


def _geometric_mean(values: Sequence[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values))
