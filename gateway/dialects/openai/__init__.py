"""OpenAI's API under ``/v1``: chat, images, videos, files, models."""
