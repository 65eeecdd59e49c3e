"""Short films as MP4 files (AV1), made with Pillow alone."""

from .film import film_mp4
from .mp4 import Mp4Error, wrap_avif

__all__ = ["Mp4Error", "film_mp4", "wrap_avif"]
