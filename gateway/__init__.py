"""An OpenAI-compatible gateway for Qwen's chat, images and videos."""

__all__ = ["__version__"]

__version__ = "0.1.0"
