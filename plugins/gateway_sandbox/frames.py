"""The frames of the completion stream, as bytes."""

import time
from typing import Any

import msgspec

__all__ = ["created", "delta", "error", "image", "image_finished", "keep_alive", "sse"]

_encode = msgspec.json.Encoder().encode


def sse(value: object) -> bytes:
    """One server-sent event with a JSON payload."""
    return b"data: " + _encode(value) + b"\n\n"


def created(chat_id: str, user_message_id: str, response_id: str) -> bytes:
    """Return the first frame; its `parent_id` is the user's message, which is not a parent to send back."""
    ids = {
        "chat_id": chat_id,
        "parent_id": user_message_id,
        "response_id": response_id,
        "response_index": "0",
    }
    return sse({"response.created": ids})


def keep_alive(chat_id: str, response_id: str) -> bytes:
    """Return what a waiting picture sends every few seconds."""
    info = {
        "action": "keep_alive",
        "chat_id": chat_id,
        "response_id": response_id,
        "timestamp": int(time.time()),
    }
    return sse({"response.info": info})


def delta(response_id: str, fields: dict[str, Any], usage: dict[str, Any]) -> bytes:
    """Return a piece of an answer with the usage so far."""
    choice = {"delta": {"role": "assistant", **fields}}
    stamp = int(time.time())
    return sse({"choices": [choice], "response_id": response_id, "usage": usage, "timestamp": stamp})


def image(response_id: str, url: str, width: int, height: int) -> bytes:
    """Return a finished picture: the whole address in one delta, `output_image_hw` as height and width."""
    fields = {
        "content": url,
        "phase": "image_gen",
        "status": "typing",
        "extra": {"output_image_hw": [[height, width]]},
    }
    return delta(response_id, fields, _image_usage(width, height))


def image_finished(response_id: str, width: int, height: int) -> bytes:
    """Return the end of a picture's answer."""
    fields = {"content": "", "phase": "image_gen", "status": "finished"}
    return delta(response_id, fields, _image_usage(width, height))


def error(code: str, details: str, response_id: str) -> bytes:
    """Return a refusal in the middle of a stream."""
    return sse({"error": {"code": code, "details": details}, "response_id": response_id})


def _image_usage(width: int, height: int) -> dict[str, int]:
    return {
        "input_tokens": 0,
        "output_tokens": 0,
        "characters": 0,
        "width": width,
        "image_count": 1,
        "height": height,
    }
