"""Ratios and pixels: what a `size` of the wire becomes.

Known from captures: a fresh 16:9 picture is 2688x1536, an edited one 1344x768.
The other pictures are this sandbox's choice: about the same number of pixels,
sides divisible by 32. Videos are smaller than the provider's 1920x1080, so that
one core renders them in a second or two.
"""

from .refusals import validation_error

__all__ = ["RATIOS", "edited_pixels", "image_pixels", "require_ratio", "video_pixels"]

RATIOS = ("1:1", "3:4", "4:3", "16:9", "9:16")

_IMAGES = {
    "16:9": (2688, 1536),
    "9:16": (1536, 2688),
    "1:1": (2048, 2048),
    "4:3": (2304, 1728),
    "3:4": (1728, 2304),
}
_VIDEOS = {"16:9": (640, 360), "9:16": (360, 640), "1:1": (480, 480), "4:3": (576, 432), "3:4": (432, 576)}


def require_ratio(size: str | None, default: str) -> str:
    """Return the ratio asked for; pixel sizes such as `1024x1024` are refused."""
    if size is None:
        return default
    if size not in RATIOS:
        choices = ", ".join(f"'{ratio}'" for ratio in RATIOS)
        raise validation_error("size", f"Input should be one of {choices}")
    return size


def image_pixels(ratio: str) -> tuple[int, int]:
    """Width and height of a picture made from nothing."""
    return _IMAGES[ratio]


def edited_pixels(ratio: str) -> tuple[int, int]:
    """Width and height of a picture made from another one."""
    width, height = _IMAGES[ratio]
    return width // 2, height // 2


def video_pixels(ratio: str) -> tuple[int, int]:
    """Width and height of a video."""
    return _VIDEOS[ratio]
