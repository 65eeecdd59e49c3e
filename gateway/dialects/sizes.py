"""Sizes in OpenAI's pixels and in Qwen's ratios."""

import math
import re
from typing import Final

from gateway.generation.errors import InvalidRequest

__all__ = ["RATIOS", "nearest_ratio", "video_pixels"]

RATIOS: Final = ("1:1", "16:9", "9:16", "4:3", "3:4")

_SIZE: Final = re.compile(r"([1-9]\d{0,4})\s*[xX*:]\s*([1-9]\d{0,4})")
_VIDEO_PIXELS: Final = {
    "16:9": "1280x720",
    "9:16": "720x1280",
    "1:1": "1024x1024",
    "4:3": "1024x768",
    "3:4": "768x1024",
}


def nearest_ratio(size: str | None) -> str:
    """Return the ratio that comes nearest, on a logarithmic scale, to ``WxH``, ``W*H`` or ``W:H``.

    "" for "auto" and for nothing; raises `InvalidRequest` for anything else.
    """
    wanted = (size or "auto").strip()
    if wanted in RATIOS:
        return wanted
    if wanted == "auto":
        return ""
    found = _SIZE.fullmatch(wanted)
    if found is None:
        raise InvalidRequest("size must be WIDTHxHEIGHT or a ratio such as 16:9", param="size")
    shape = math.log(int(found[1]) / int(found[2]))
    return min(RATIOS, key=lambda ratio: abs(_shape(ratio) - shape))


def video_pixels(ratio: str) -> str:
    """Return a ratio as the pixels that OpenAI's video objects show; pixels stay as they are."""
    return _VIDEO_PIXELS.get(ratio, ratio if "x" in ratio else _VIDEO_PIXELS["16:9"])


def _shape(ratio: str) -> float:
    width, _, height = ratio.partition(":")
    return math.log(int(width) / int(height))
