"""Pictures from words: the prompt chooses the scene and the colours, its hash the details."""

from .picture import open_picture, paint_edit, paint_png
from .scene import Scene

__all__ = ["Scene", "open_picture", "paint_edit", "paint_png"]
