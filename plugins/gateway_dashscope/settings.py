"""The keys of an upstream's table with ``kind = "dashscope"``."""

from urllib.parse import urlsplit

import msgspec

from gateway.plugin_api import Deadlines
from gateway_dashscope.catalogue import (
    IMAGE_MODELS,
    TEXT_MODELS,
    VIDEO_MODELS,
    VIDEO_SIZES,
    ImageModel,
    VideoModel,
)

__all__ = ["DashScopeSettings"]


class DashScopeSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which region and models. Times in seconds, sizes in MB (2**20 bytes).

    The tables of models replace the defaults as a whole when they are set.
    """

    base_url: str = "https://dashscope-intl.aliyuncs.com"
    """The region's host. A key works in its own region only."""
    workspace: str = ""
    """The workspace that calls are billed to, if not the default one."""
    text_models: tuple[str, ...] = TEXT_MODELS
    """The text models on offer."""
    image_models: dict[str, ImageModel] = msgspec.field(default_factory=IMAGE_MODELS.copy)
    """The image models on offer, and what each takes."""
    video_models: dict[str, VideoModel] = msgspec.field(default_factory=VIDEO_MODELS.copy)
    """The video models on offer, and what each takes."""
    video_sizes: dict[str, dict[str, str]] = msgspec.field(default_factory=VIDEO_SIZES.copy)
    """The pixels of each resolution and ratio."""
    inline_mb: float = 7.0
    """The largest attachment that a call holds; larger ones go to the provider's temporary storage."""
    connect_seconds: float = 5.0
    first_byte_seconds: float = 120.0
    between_bytes_seconds: float = 60.0
    total_seconds: float = 600.0
    image_seconds: float = 300.0
    """How long a picture may take that is drawn while the caller waits."""
    control_seconds: float = 30.0
    """How long an answer about a task may take."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError("base_url must be a host alone, such as https://dashscope.aliyuncs.com")
        for name, model in self.image_models.items():
            if not (model.sync or model.task):
                raise ValueError(f"image_models.{name} needs sync, task or both")
        for name, film in self.video_models.items():
            if not film.tiers or not film.seconds or set(film.tiers) - self.video_sizes.keys():
                raise ValueError(f"video_models.{name} needs seconds, and tiers that video_sizes has")

    @property
    def text_deadlines(self) -> Deadlines:
        """The times of a chat."""
        return Deadlines(
            connect=self.connect_seconds,
            first_byte=self.first_byte_seconds,
            between_bytes=self.between_bytes_seconds,
            total=self.total_seconds,
        )

    @property
    def image_deadlines(self) -> Deadlines:
        """The times of a picture: nothing comes before it is done."""
        return self._deadlines(self.image_seconds)

    @property
    def control_deadlines(self) -> Deadlines:
        """The times of a call with a short answer."""
        return self._deadlines(self.control_seconds)

    def _deadlines(self, seconds: float) -> Deadlines:
        return Deadlines(
            connect=self.connect_seconds,
            first_byte=seconds,
            between_bytes=self.between_bytes_seconds,
            total=seconds + self.between_bytes_seconds,
        )
