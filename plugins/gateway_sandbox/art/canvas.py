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
_STEPS = 320
_GLOW_EDGE = 181


class Canvas:
    """A picture in the making; coordinates run from 0 to 1 on both axes."""

    def __init__(self, size: tuple[int, int]) -> None:
        self.width, self.height = size
        self.image = Image.new("RGB", size)

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def gradient(self, colors: Sequence[Color], top: float = 0.0, bottom: float = 1.0) -> None:
        """Fill a band with a vertical gradient, over the whole width."""
        y0, y1 = round(top * self.height), round(bottom * self.height)
        self.image.paste(vertical((self.width, max(y1 - y0, 1)), colors), (0, y0))

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
        edge = [(at / _STEPS, curve(at / _STEPS)) for at in range(_STEPS + 1)]
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
        steps = [span[0] + (span[1] - span[0]) * at / _STEPS for at in range(_STEPS + 1)]
        edge = [(x, upper(x)) for x in steps] + [(x, lower(x)) for x in reversed(steps)]
        top, bottom = min(y for _, y in edge), max(y for _, y in edge)
        self._fill(edge, top, max(bottom - top, 0.01), colors, opacity)

    def shape(self, points: Sequence[tuple[float, float]], color: Color, opacity: float = 1.0) -> None:
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
        self,
        points: Sequence[tuple[float, float]],
        top: float,
        depth: float,
        colors: Sequence[Color],
        opacity: float,
    ) -> None:
        y0 = max(0, math.floor(top * self.height) - 2)
        y1 = min(self.height, math.ceil(min(1.0, max(y for _, y in points)) * self.height) + 2)
        if y1 <= y0:
            return
        mask = Image.new("L", (self.width, y1 - y0))
        pixels = [(x * self.width, y * self.height - y0) for x, y in points]
        ImageDraw.Draw(mask).polygon(pixels, fill=round(255 * opacity))
        mask = mask.filter(ImageFilter.BoxBlur(self.height / 2400))
        paint = vertical((self.width, max(2, round(depth * self.height))), colors)
        filled = Image.new("RGB", mask.size, colors[-1])
        filled.paste(paint, (0, round(top * self.height) - y0))
        self.image.paste(filled, (0, y0), mask)


def vertical(size: tuple[int, int], colors: Sequence[Color]) -> Image.Image:
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
