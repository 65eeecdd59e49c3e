# ruff: noqa: RUF001  # Cyrillic and Chinese are meant
"""Which scene a prompt becomes."""

import random
from collections.abc import Callable

from PIL import Image

from .abstracts import paint_orbits, paint_silk
from .canvas import Canvas
from .landscapes import paint_aurora, paint_city, paint_mountains, paint_sea
from .palettes import Palette, choose_palette, mentions

__all__ = ["Scene"]

_Painter = Callable[[Canvas, Palette, random.Random, float], None]
_PAINTERS: tuple[tuple[str, _Painter], ...] = (
    (r"city|skyline|street|building|tower|neon|cyber|futur|город|улиц|城|街", paint_city),
    (r"aurora|polar|northern light|night sky|galaxy|space|сияни|космос|极光", paint_aurora),
    (r"sea|ocean|beach|wave|boat|ship|sail|море|океан|海", paint_sea),
    (
        r"mountain|hill|lake|valley|forest|landscape|tree|snow|sunrise|sunset|гор[аы]|лес|озер|山|湖|森",
        paint_mountains,
    ),
    (r"planet|circle|geometr|abstract|jazz|music|logo|абстракт|几何", paint_orbits),
    (r"silk|flow|flower|rose|cat|portrait|dream|ткан|цвет|梦|花", paint_silk),
)


class Scene:
    """One composition; painted at different times it moves."""

    def __init__(self, prompt: str, seed: int, size: tuple[int, int]) -> None:
        self.seed = seed
        self.size = size
        source = random.Random(seed)  # noqa: S311  # repeatable, not secret
        self.palette = choose_palette(prompt, source)
        self._painter = _choose_painter(prompt, source)

    def paint(self, time: float = 0.0) -> Image.Image:
        """Return the picture at a time in seconds; the same time gives the same picture."""
        canvas = Canvas(self.size)
        self._painter(canvas, self.palette, random.Random(self.seed), time)  # noqa: S311
        return canvas.image


def _choose_painter(prompt: str, source: random.Random) -> _Painter:
    fallback = source.choice([painter for _, painter in _PAINTERS])
    return next((painter for words, painter in _PAINTERS if mentions(prompt, words)), fallback)
