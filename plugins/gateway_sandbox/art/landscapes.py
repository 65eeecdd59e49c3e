"""Places: mountains, the sea, a polar night, a city."""

import math
import random

from PIL import Image

from .canvas import Canvas, Curve, wander
from .palettes import Color, Palette, blend

__all__ = ["paint_aurora", "paint_city", "paint_mountains", "paint_sea"]

_RIDGES = 6
_WAVES = 11
_CLOTH = (112, 63)


def paint_mountains(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    """Ridge behind ridge, paler with distance, under a low sun; pines in front."""
    canvas.gradient(palette.sky, 0.0, 0.75)
    sun_x, sun_y = source.uniform(0.2, 0.8), source.uniform(0.26, 0.4) - 0.012 * time
    _sun(canvas, palette, sun_x, sun_y, source.uniform(0.045, 0.075))
    _clouds(canvas, palette, source, time)
    for at in range(_RIDGES):
        share = at / (_RIDGES - 1)
        rough = 0.5 if at < _RIDGES - 2 else 0.36
        line = wander(source, 0.42 + 0.42 * share**1.1, 0.1 - 0.035 * share, rough)
        shift = 0.004 * time * (1 + 3 * share)
        body = blend(palette.far, palette.near, share**0.9)
        mist = blend(body, palette.sky[-1], 0.62 * (1 - share))
        curve = line(0.0)
        canvas.under(lambda x, c=curve, s=shift: c(x + s), [body, mist, mist], 0.3)  # type: ignore[misc]
    _pines(canvas, palette, source)


def paint_sea(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    """Paint a wide sky, the sun's road on the water, waves that grow towards us, a sail."""
    horizon = source.uniform(0.46, 0.56)
    canvas.gradient(palette.sky, 0.0, horizon)
    sun_x = source.uniform(0.25, 0.75)
    _sun(canvas, palette, sun_x, horizon - source.uniform(0.08, 0.2), source.uniform(0.05, 0.085))
    _clouds(canvas, palette, source, time)
    deep = blend(palette.near, palette.sky[2], 0.4)
    canvas.gradient([blend(palette.sky[-1], deep, 0.35), deep, palette.near], horizon, 1.0)
    sail_after = source.randrange(1, 4)
    for at in range(_WAVES):
        share = at / (_WAVES - 1)
        base = horizon + 0.02 + (1.02 - horizon) * share**1.7
        line = wander(source, base, 0.004 + 0.022 * share, 0.48, speed=0.9)
        crest = blend(blend(palette.sky[-1], deep, 0.5), palette.near, share)
        canvas.under(
            line(time), [blend(crest, palette.light, 0.25), crest, palette.near], 0.05 + 0.2 * share, 0.4
        )
        if at == sail_after:
            _sail(canvas, palette, source, base, time)
    _sun_road(canvas, palette, source, (sun_x, horizon), time)


def paint_aurora(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    """Curtains of light over snow and pines; stars behind."""
    night = [(4, 7, 22), (8, 18, 44), (16, 38, 70), (34, 72, 96)]
    canvas.gradient(night, 0.0, 0.85)
    canvas.speckle(source, 420, 0.75, (255, 252, 240), time * 2)
    glows = [*palette.accents, (96, 255, 190)]
    for at in range(3):
        _curtain(canvas, source, glows[source.randrange(len(glows))] if at else (96, 255, 190), at, time)
    far, near = wander(source, 0.74, 0.05, 0.5), wander(source, 0.86, 0.03, 0.4)
    canvas.under(far(0.0), [(26, 48, 74), (15, 30, 52)], 0.2)
    canvas.under(near(0.0), [(190, 214, 228), (70, 104, 134), (24, 44, 70)], 0.24)
    _pines(canvas, palette, source, ground=0.93)


def paint_city(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    """Towers with lit windows, mirrored in still water."""
    shore = source.uniform(0.68, 0.74)
    canvas.gradient(palette.sky, 0.0, shore)
    canvas.speckle(source, 140, 0.35, palette.light, time * 2)
    _sun(canvas, palette, source.uniform(0.25, 0.75), source.uniform(0.2, 0.4), 0.06)
    for share in (0.25, 0.6, 1.0):
        _towers(canvas, palette, source, shore, share, time)
    _mirror(canvas, palette, shore, time)


def _sun(canvas: Canvas, palette: Palette, x: float, y: float, radius: float) -> None:
    canvas.glow(x, y, radius * 11, palette.light, 0.55)
    canvas.glow(x, y, radius * 4, palette.light, 0.6)
    canvas.disc(x, y, radius, palette.light)


def _clouds(canvas: Canvas, palette: Palette, source: random.Random, time: float) -> None:
    for _ in range(5):
        y, x = source.uniform(0.06, 0.36), source.random() + source.uniform(0.004, 0.012) * time
        width, thick = source.uniform(0.14, 0.4), source.uniform(0.006, 0.016)
        color = blend(palette.light, palette.sky[-2], source.random() * 0.7)
        edge = wander(source, 0.0, thick * 0.4, 0.5)(0.0)

        def bow(at: float, x: float = x, width: float = width) -> float:
            return math.sqrt(max(0.0, 1 - ((at - x) / width) ** 2))

        def upper(
            at: float, y: float = y, thick: float = thick, bow: Curve = bow, edge: Curve = edge
        ) -> float:
            return y - thick * bow(at) * 1.6 + edge(at) * bow(at)

        def lower(at: float, y: float = y, thick: float = thick, bow: Curve = bow) -> float:
            return y + thick * bow(at) * 0.5

        canvas.between(upper, lower, [color, color], 0.34, (x - width, x + width))


def _pines(canvas: Canvas, palette: Palette, source: random.Random, ground: float = 0.97) -> None:
    color = blend(palette.near, (0, 0, 0), 0.35)
    line = wander(source, ground, 0.014, 0.4)(0.0)
    canvas.under(line, [color, color], 0.1)
    for side in (0.0, 1.0):
        for _ in range(9):
            offset = source.random() ** 1.5 * 0.3
            x = side + (offset if side == 0.0 else -offset)
            _pine(canvas, x, line(x) + 0.01, source.uniform(0.1, 0.3) * (1.1 - 2 * offset), color)


def _pine(canvas: Canvas, x: float, foot: float, height: float, color: Color) -> None:
    wide = 0.17 * height / canvas.aspect
    left, right = [], []
    tiers = 9
    for at in range(tiers):
        y = foot - height * (1 - at / tiers)
        spread = wide * (at + 1) / tiers
        left += [(x - spread * 0.4, y), (x - spread, y + height / tiers * 1.25)]
        right += [(x + spread * 0.4, y), (x + spread, y + height / tiers * 1.25)]
    canvas.shape([(x, foot - height * 1.06), *right, *reversed(left)], color)


def _sun_road(
    canvas: Canvas, palette: Palette, source: random.Random, start: tuple[float, float], time: float
) -> None:
    x, horizon = start
    for at in range(46):
        share = (at / 45) ** 1.6
        y = horizon + 0.006 + (0.98 - horizon) * share
        sway = math.sin(time * 3 + source.random() * 6.3) * 0.012
        half = (0.012 + 0.07 * share) * source.uniform(0.35, 1.0)
        middle = x + sway + source.uniform(-0.03, 0.03) * (0.3 + share)
        thick = 0.0012 + 0.004 * share
        points = [(middle - half, y), (middle, y - thick), (middle + half, y), (middle, y + thick)]
        canvas.shape(points, palette.light, 0.6 - 0.42 * share)


def _sail(canvas: Canvas, palette: Palette, source: random.Random, base: float, time: float) -> None:
    x, high = source.uniform(0.2, 0.8) + 0.004 * time, 0.085
    wide, rock = high / canvas.aspect, 0.006 * math.sin(time * 1.6)
    dark = blend(palette.near, (0, 0, 0), 0.2)
    mast = (x + rock / canvas.aspect, base - high)
    canvas.shape([mast, (x + wide * 0.55, base - 0.012), (x, base - 0.012)], palette.light)
    canvas.shape([mast, (x - wide * 0.4, base - 0.016), (x - wide * 0.04, base - 0.012)], palette.accents[0])
    hull = [(x - wide * 0.5, base - 0.008), (x + wide * 0.6, base - 0.008), (x + wide * 0.4, base + 0.012)]
    canvas.shape([*hull, (x - wide * 0.35, base + 0.012)], dark)


def _curtain(canvas: Canvas, source: random.Random, color: Color, at: int, time: float) -> None:
    """Hang up a band of light, bright below and fading upwards, folded like cloth."""
    line = wander(source, 0.5 - 0.11 * at, 0.09, 0.45, speed=0.35)(time)
    ripple = [source.random() * math.tau for _ in range(3)]
    columns, rows = _CLOTH
    levels = []
    for x in range(columns):
        share = x / columns
        fold = sum(
            math.sin(share * 26 * (n + 1) + phase + time * (0.6 + n)) for n, phase in enumerate(ripple)
        )
        levels.append((line(share), max(0.0, 0.62 + 0.13 * fold)))
    small = Image.new("L", _CLOTH)
    small.putdata([_light(y / rows, foot, strength) for y in range(rows) for foot, strength in levels])
    mask = small.resize(canvas.image.size, Image.Resampling.BICUBIC)
    canvas.image.paste(color, (0, 0), mask)


def _light(y: float, foot: float, strength: float) -> int:
    """Return the brightness of a curtain at a height: a sharp hem at `foot`, a long fade above."""
    if y > foot:
        return round(max(0.0, 1 - (y - foot) / 0.05) * 150 * strength)
    return round(math.exp(-(foot - y) / 0.17) * 175 * strength)


def _towers(
    canvas: Canvas, palette: Palette, source: random.Random, shore: float, share: float, time: float
) -> None:
    color = blend(blend(palette.far, palette.sky[-2], 0.3), palette.near, share)
    left = -0.02
    while left < 1.0:
        wide = source.uniform(0.03, 0.075) / max(canvas.aspect, 0.75)
        middle = 1 - abs(left - 0.5)
        top = shore - source.uniform(0.08, 0.5 - 0.16 * share) * (0.45 + middle * 0.7)
        _tower(canvas, palette, source, (left, top, left + wide, shore), color, share, time)
        left += wide * source.uniform(0.85, 1.5)


def _tower(
    canvas: Canvas,
    palette: Palette,
    source: random.Random,
    box: tuple[float, float, float, float],
    color: Color,
    share: float,
    time: float,
) -> None:
    left, top, right, bottom = box
    canvas.shape([(left, top), (right, top), (right, bottom), (left, bottom)], color)
    if source.random() < 0.3:
        mast = (left + right) / 2
        canvas.shape([(mast - 0.0012, top), (mast, top - 0.06), (mast + 0.0012, top)], color)
    if share < 0.5:
        return
    step_x, step_y = 0.0085 / canvas.aspect * 1.6, 0.017
    lamps = [palette.light, (255, 214, 140), *palette.accents[:2]]
    for row in range(1, int((bottom - top) / step_y)):
        for column in range(1, int((right - left) / step_x)):
            chance, lamp = source.random(), source.choice(lamps)
            if chance + 0.03 * math.sin(time + chance * 90) < 0.24:
                x, y = left + column * step_x, top + row * step_y
                canvas.pane(x, y, step_x * 0.5, step_y * 0.5, blend(color, lamp, 0.8))


def _mirror(canvas: Canvas, palette: Palette, shore: float, time: float) -> None:
    """Turn what stands above the shore upside down into the water, with ripples."""
    y0 = round(shore * canvas.height)
    depth = canvas.height - y0
    above = canvas.image.crop((0, y0 - depth, canvas.width, y0)).transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    rows = max(1, depth // 90)
    for y in range(0, depth, rows):
        share = y / depth
        shift = round(
            math.sin(y / depth * 70 * (1.2 - share) + time * 4) * canvas.width * 0.0035 * (0.3 + share)
        )
        strip = above.crop((0, y, canvas.width, min(y + rows, depth)))
        canvas.image.paste(strip, (0, y0 + y))
        canvas.image.paste(strip, (shift, y0 + y))
    water = Image.new("RGB", (canvas.width, depth), palette.near)
    fade = (
        Image.linear_gradient("L")
        .resize((canvas.width, depth))
        .point([60 + level * 5 // 9 for level in range(256)])
    )
    canvas.image.paste(water, (0, y0), fade)
