"""Pictures as files: PNG with the prompt inside, and reading what others sent."""

import io
import random

from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngInfo

from .palettes import blend, choose_palette
from .scene import Scene

__all__ = ["open_picture", "paint_edit", "paint_png"]

_QUICK = 1
_KEEP = 0.62


def paint_png(prompt: str, seed: int, size: tuple[int, int]) -> bytes:
    """Return a picture of exactly `size`, as PNG with the prompt in its metadata."""
    return _png(Scene(prompt, seed, size).paint(), prompt)


def paint_edit(prompt: str, seed: int, size: tuple[int, int], source: bytes) -> bytes:
    """Return the source picture, cut to `size`, in the colours that the prompt suggests."""
    picture = open_picture(source, size)
    palette = choose_palette(prompt, random.Random(seed))  # noqa: S311  # repeatable, not secret
    tinted = ImageOps.colorize(
        ImageOps.autocontrast(picture.convert("L")),
        black=blend(palette.near, (0, 0, 0), 0.4),
        mid=palette.far,
        white=palette.light,
    )
    return _png(Image.blend(tinted, picture, 1 - _KEEP), prompt)


def open_picture(source: bytes, size: tuple[int, int]) -> Image.Image:
    """Return a picture cut to `size`; bytes that are no picture give a plain grey one."""
    try:
        with Image.open(io.BytesIO(source)) as picture:
            return ImageOps.fit(picture.convert("RGB"), size, Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        return Image.new("RGB", size, (128, 128, 128))


def _png(picture: Image.Image, prompt: str) -> bytes:
    info = PngInfo()
    info.add_itxt("prompt", prompt)
    info.add_text("Software", "qwen-gateway sandbox")
    out = io.BytesIO()
    picture.save(out, "PNG", pnginfo=info, compress_level=_QUICK)
    return out.getvalue()
