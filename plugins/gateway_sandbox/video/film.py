"""Three seconds of moving picture from a prompt."""

import io

from PIL import Image

from ..art import Scene, open_picture
from .mp4 import wrap_avif

__all__ = ["film_mp4"]

_FRAMES = 36
_FRAMES_PER_SECOND = 12
_QUALITY = 60
_SPEED = 10
_OVERSIZE = 1.12


def film_mp4(prompt: str, seed: int, size: tuple[int, int], source: bytes | None = None) -> bytes:
    """Return an MP4 of `size`; the camera moves over the source picture, else the scene itself moves."""
    frames = _travel(source, size) if source else _play(prompt, seed, size)
    return wrap_avif(_avif(frames), title=prompt[:80], comment=prompt)


def _play(prompt: str, seed: int, size: tuple[int, int]) -> list[Image.Image]:
    scene = Scene(prompt, seed, size)
    return [scene.paint(at / _FRAMES_PER_SECOND) for at in range(_FRAMES)]


def _travel(source: bytes, size: tuple[int, int]) -> list[Image.Image]:
    width, height = size
    large = open_picture(source, (round(width * _OVERSIZE), round(height * _OVERSIZE)))
    frames = []
    for at in range(_FRAMES):
        share = at / (_FRAMES - 1)
        left, top = (large.width - width) * share, (large.height - height) * (1 - share)
        frames.append(large.resize(size, Image.Resampling.BILINEAR, (left, top, left + width, top + height)))
    return frames


def _avif(frames: list[Image.Image]) -> bytes:
    out = io.BytesIO()
    frames[0].save(
        out,
        "AVIF",
        save_all=True,
        append_images=frames[1:],
        duration=1000 // _FRAMES_PER_SECOND,
        quality=_QUALITY,
        speed=_SPEED,
    )
    return out.getvalue()
