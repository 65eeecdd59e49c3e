"""The Qwen chat HTTP API, an undocumented web backend, as an upstream of the gateway."""

from .settings import QwenChatSettings
from .upstream import QwenChatUpstream

__all__ = ["QwenChatSettings", "QwenChatUpstream"]
