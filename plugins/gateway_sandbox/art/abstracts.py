"""Pictures of nothing in particular: flowing silk, and circles that keep their distance."""

import math
import random

from PIL import Image

from .canvas import Canvas, wander
from .palettes import Palette, blend

__all__ = ["paint_orbits", "paint_silk"]

_RIBBONS = 15


def paint_silk(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    """Translucent ribbons that follow one another over a soft ground."""
    _cloth(canvas, palette, source)
    base = wander(source, 0.0, 0.2, 0.2, speed=0.5)(time)
    twist = wander(source, 0.0, 0.07, 0.24, speed=0.8)(time)
    colors = [*palette.accents, palette.light, palette.sky[-2]]
    for at in range(_RIBBONS):
        share = at / (_RIBBONS - 1)
        one, other = colors[at % len(colors)], colors[(at * 3 + 1) % len(colors)]
        spread = 0.035 + 0.05 * math.sin(share * 3.1)
        middle = 0.2 + 0.62 * share

        def edge(
            x: float, side: float, middle: float = middle, share: float = share, spread: float = spread
        ) -> float:
            fold = twist(x * 1.3 + share) * (1 + share)
            return (
                middle
                + base(x + share * 0.22) * (1.1 - 0.5 * share)
                + fold
                + side * spread * (1.2 + math.sin(x * 5 + share * 9))
            )

        shades = [blend(one, palette.light, 0.45), one, blend(other, palette.near, 0.25)]
        canvas.between(lambda x, e=edge: e(x, -1.0), lambda x, e=edge: e(x, 1.0), shades, 0.5)  # type: ignore[misc]


def paint_orbits(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    """Discs, rings and arcs on a quiet ground, a few of them moving."""
    _cloth(canvas, palette, source)
    colors = [*palette.accents, palette.near, palette.light]
    heart = source.uniform(0.3, 0.7), source.uniform(0.35, 0.65)
    size = source.uniform(0.26, 0.34)
    canvas.glow(*heart, size * 2.4, palette.light, 0.7)
    canvas.disc(*heart, size, colors[0])
    canvas.disc(heart[0] + 0.02, heart[1] - 0.03, size * 0.72, blend(colors[0], palette.light, 0.35))
    for at in range(17):
        turn = source.random() * math.tau + time * source.uniform(-0.35, 0.35)
        reach = source.uniform(0.2, 0.75)
        x = heart[0] + math.cos(turn) * reach / canvas.aspect
        y = heart[1] + math.sin(turn) * reach
        radius = source.choice([0.012, 0.02, 0.035, 0.06, 0.1])
        color = colors[at % len(colors)]
        canvas.disc(x, y, radius, color)
        if source.random() < 0.55:
            canvas.disc(x, y, radius * 0.62, blend(color, palette.light, 0.5))
            canvas.disc(x, y, radius * 0.4, palette.near)


def _cloth(canvas: Canvas, palette: Palette, source: random.Random) -> None:
    """Lay a ground of a few colours that melt into each other."""
    tones = [blend(color, palette.light, 0.12) for color in palette.sky]
    small = Image.new("RGB", (4, 4))
    small.putdata([tones[min(len(tones) - 1, (at // 4) + source.randrange(2))] for at in range(16)])
    canvas.image.paste(
        small.resize((64, 64), Image.Resampling.BICUBIC).resize(canvas.image.size, Image.Resampling.BICUBIC)
    )
