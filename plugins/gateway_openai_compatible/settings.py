"""The keys of an upstream's table with ``kind = "openai_compatible"``."""

import msgspec

from gateway.plugin_api import Deadlines

__all__ = ["OpenAICompatibleSettings"]

_OPENAI_SIZES = {
    "1:1": "1024x1024",
    "16:9": "1536x1024",
    "9:16": "1024x1536",
    "4:3": "1536x1024",
    "3:4": "1024x1536",
}


class OpenAICompatibleSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the server is and what it offers. Times in seconds, sizes in MB (2**20 bytes)."""

    base_url: str
    """With the version, as OpenAI's own clients take it: ``http://127.0.0.1:11434/v1``."""
    models: tuple[str, ...] = ()
    """The models on offer; empty asks ``GET /models`` and lets every name through."""
    chat_types: tuple[str, ...] = ("t2t",)
    """t2t, and t2i if the server has ``/images/generations``."""
    tools: bool = True
    """Whether the server takes tools; requests with tools go elsewhere if not."""
    stream_usage: bool = True
    """Ask for token counts in streams; some servers refuse the field."""
    headers: dict[str, str] = {}
    """Sent with every call."""
    image_sizes: dict[str, str] = msgspec.field(default_factory=_OPENAI_SIZES.copy)
    """The pixels that each ratio is sent as; those of OpenAI's own image models unless set."""
    max_event_mb: int = 16
    """The largest event of a stream: a picture may come inside one."""
    connect_seconds: float = 5.0
    first_byte_seconds: float = 120.0
    between_bytes_seconds: float = 60.0
    total_seconds: float = 600.0

    @property
    def deadlines(self) -> Deadlines:
        """The four times as the transport takes them."""
        return Deadlines(
            connect=self.connect_seconds,
            first_byte=self.first_byte_seconds,
            between_bytes=self.between_bytes_seconds,
            total=self.total_seconds,
        )
