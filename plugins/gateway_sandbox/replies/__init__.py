"""What a turn is answered with: a stream of frames, or a video's task."""

from .image import answer_image
from .text import answer_text
from .video import create_video

__all__ = ["answer_image", "answer_text", "create_video"]
