"""Brushes: gradients, glows and smooth edges, quick on a large canvas.

What is smooth is drawn small and enlarged; what has an edge is drawn as a mask
in full size and softened by less than a pixel.
"""

import math
import random
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFilter

from .palettes import Color, blend

__all__ = ["Canvas", "Curve", "wander"]

Curve = Callable[[float], float]
Point = tuple[float, float]
_GLOW_EDGE = 181
_MARGIN = 2
_LARGE = 800


class Canvas:
    """A picture in the making; coordinates run from 0 to 1 on both axes."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self.image = Image.new("RGB", size)
        self._steps = min(max(self.width // 4, 80), 320)

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def gradient(self, colors: Sequence[Color], top: float = 0.0, bottom: float = 1.0) -> None:
        """Fill a band with a vertical gradient, over the whole width."""
        y0, y1 = round(top * self.height), round(bottom * self.height)
        self.image.paste(_vertical((self.width, max(y1 - y0, 1)), colors), (0, y0))

    def glow(self, x: float, y: float, radius: float, color: Color, strength: float = 1.0) -> None:
        """Light around a point; `radius` counts in heights."""
        side = max(2, round(2 * radius * self.height))
        fade = Image.radial_gradient("L").point([_fade(level, strength) for level in range(256)])
        mask = fade.resize((side, side), Image.Resampling.BICUBIC)
        corner = (round(x * self.width) - side // 2, round(y * self.height) - side // 2)
        self.image.paste(color, (*corner, corner[0] + side, corner[1] + side), mask)

    def disc(self, x: float, y: float, radius: float, color: Color) -> None:
        """Draw a filled circle; `radius` counts in heights."""
        side = max(2, round(2 * radius * self.height))
        mask = Image.new("L", (side * 4, side * 4))
        ImageDraw.Draw(mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), fill=255)
        mask = mask.resize((side, side), Image.Resampling.BOX)
        corner = (round(x * self.width) - side // 2, round(y * self.height) - side // 2)
        self.image.paste(color, (*corner, corner[0] + side, corner[1] + side), mask)

    def under(self, curve: Curve, colors: Sequence[Color], depth: float = 1.0, opacity: float = 1.0) -> None:
        """Fill what lies below a curve; the gradient hangs on its highest point, `depth` heights long."""
        edge = [(at / self._steps, curve(at / self._steps)) for at in range(self._steps + 1)]
        self._fill([*edge, (1.0, 1.1), (0.0, 1.1)], min(y for _, y in edge), depth, colors, opacity)

    def between(
        self,
        upper: Curve,
        lower: Curve,
        colors: Sequence[Color],
        opacity: float = 1.0,
        span: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        """Fill the ribbon between two curves with a gradient across its whole height."""
        steps = [span[0] + (span[1] - span[0]) * at / self._steps for at in range(self._steps + 1)]
        edge = [(x, upper(x)) for x in steps] + [(x, lower(x)) for x in reversed(steps)]
        top, bottom = min(y for _, y in edge), max(y for _, y in edge)
        self._fill(edge, top, max(bottom - top, 0.01), colors, opacity)

    def shape(self, points: Sequence[Point], color: Color, opacity: float = 1.0) -> None:
        """Fill a polygon with one colour."""
        top = min(y for _, y in points)
        self._fill(points, top, max(max(y for _, y in points) - top, 0.001), [color, color], opacity)

    def pane(self, x: float, y: float, width: float, height: float, color: Color) -> None:
        """Draw a small rectangle, from its upper left corner."""
        left, top = round(x * self.width), round(y * self.height)
        self.image.paste(
            color,
            (left, top, left + max(1, round(width * self.width)), top + max(1, round(height * self.height))),
        )

    def speckle(
        self, source: random.Random, count: int, bottom: float, color: Color, twinkle: float = 0.0
    ) -> None:
        """Scatter stars above a height; `twinkle` moves their brightness."""
        draw = ImageDraw.Draw(self.image)
        unit = self.height / 1080
        for _ in range(count):
            x, y = source.random() * self.width, source.random() ** 1.4 * bottom * self.height
            size = (0.5 + 1.6 * source.random() ** 4) * unit
            bright = 0.35 + 0.65 * abs(math.sin(source.random() * 6.3 + twinkle))
            under = self.image.getpixel((min(int(x), self.width - 1), min(int(y), self.height - 1)))
            shade = blend(under, color, bright)  # type: ignore[arg-type]  # an RGB image gives triples
            draw.ellipse((x - size, y - size, x + size, y + size), fill=shade)

    def _fill(
        self, points: Sequence[Point], top: float, depth: float, colors: Sequence[Color], opacity: float
    ) -> None:
        """Paint a polygon; the gradient begins at `top` and is `depth` heights long."""
        box = self._bounds(points)
        if box[0] >= box[2] or box[1] >= box[3]:
            return
        mask = self._mask(points, box, round(255 * opacity))
        if len(set(colors)) == 1:
            self.image.paste(colors[0], box, mask)
            return
        filled = Image.new("RGB", mask.size, colors[-1])
        paint = _vertical((mask.width, max(2, round(depth * self.height))), colors)
        filled.paste(paint, (0, round(top * self.height) - box[1]))
        self.image.paste(filled, box, mask)

    def _bounds(self, points: Sequence[Point]) -> tuple[int, int, int, int]:
        """Return the part of the canvas that a polygon touches: left, top, right, bottom in pixels."""
        xs, ys = [x * self.width for x, _ in points], [y * self.height for _, y in points]
        left, top = math.floor(min(xs)) - _MARGIN, math.floor(min(ys)) - _MARGIN
        right, bottom = math.ceil(max(xs)) + _MARGIN, math.ceil(max(ys)) + _MARGIN
        return max(0, left), max(0, top), min(self.width, right), min(self.height, bottom)

    def _mask(self, points: Sequence[Point], box: tuple[int, int, int, int], level: int) -> Image.Image:
        """Return a polygon's mask with smooth edges: drawn larger if the canvas is small, else softened."""
        zoom = 2 if self.height < _LARGE else 1
        mask = Image.new("L", ((box[2] - box[0]) * zoom, (box[3] - box[1]) * zoom))
        corners = [((x * self.width - box[0]) * zoom, (y * self.height - box[1]) * zoom) for x, y in points]
        ImageDraw.Draw(mask).polygon(corners, fill=level)
        return mask.reduce(2) if zoom == 2 else mask.filter(ImageFilter.BoxBlur(self.height / 2400))


def _vertical(size: tuple[int, int], colors: Sequence[Color]) -> Image.Image:
    """Return a vertical gradient through all colours."""
    strip = Image.new("RGB", (1, len(colors)))
    strip.putdata(list(colors))
    tall = strip.resize((1, size[1]), Image.Resampling.BICUBIC, (0, 0.5, 1, len(colors) - 0.5))
    return tall.resize(size, Image.Resampling.NEAREST)


def _fade(distance: int, strength: float) -> int:
    """Light at a distance from the middle, 0 at the edge of the square."""
    return round(255 * strength * math.pow(max(0.0, 1 - distance / _GLOW_EDGE), 2.2))


def wander(
    source: random.Random, base: float, swing: float, rough: float, speed: float = 0.0
) -> Callable[[float], Curve]:
    """Return a family of rolling lines around `base`: call it with a time to get the curve of that moment.

    `swing` is the height of the largest hill, `rough` how fast smaller ones
    fade (0.3 is soft, 0.6 is rocky), `speed` how fast they wander.
    """
    waves = [
        (
            swing * rough**octave,
            2.1**octave * (0.8 + 0.5 * source.random()),
            source.random() * math.tau,
            0.6 + source.random(),
        )
        for octave in range(7)
    ]

    def at(time: float) -> Curve:
        moved = [(size, pace * math.tau, phase + speed * drift * time) for size, pace, phase, drift in waves]
        return lambda x: base + sum(size * math.sin(pace * x + phase) for size, pace, phase in moved) / 1.6

    return at
