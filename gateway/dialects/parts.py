"""Message content in: OpenAI's and Qwen's parts, for every role, to the vocabulary's parts."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import MediaPart, OtherPart, Part, PartKind, TextPart

__all__ = ["Content", "media_part", "read_content"]

Content = str | list[str | dict[str, Any]] | None
"""A message's content on the wire: text, parts, or nothing."""

_ADDRESSES: Final = ("https://", "http://", "data:", "/")


def read_content(content: Content, path: str) -> tuple[Part, ...]:
    """Read a message's content; `path` is its place in the body, for errors."""
    if content is None:
        return ()
    if isinstance(content, str):
        return (TextPart(content),)
    return tuple(_read_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def media_part(kind: PartKind, value: Any, path: str) -> MediaPart:
    """Read a medium: an address, the id of an uploaded file, or an object that holds one of them."""
    if isinstance(value, str):
        value = {"url" if value.startswith(_ADDRESSES) else "file_id": value}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{path} must be a URL or an object", param=path)
    part = MediaPart(
        kind,
        url=_text(value, "url", path) or _data_url(value, path),
        file_id=_text(value, "file_id", path),
        name=_text(value, "filename", path) or _text(value, "name", path),
        detail=_text(value, "detail", path),
    )
    if not part.url and not part.file_id:
        raise InvalidRequest(f"{path} holds neither a URL nor a file id", param=path)
    return part


def _read_part(part: str | dict[str, Any], path: str) -> Part:
    if isinstance(part, str):
        return TextPart(part)
    kind = part.get("type", "text" if "text" in part else None)
    if not isinstance(kind, str):
        raise InvalidRequest(f"{path}.type must be text", param=f"{path}.type")
    read = _READERS.get(kind)
    return read(part, path) if read else OtherPart(part)


def _text_reader(field: str) -> Callable[[dict[str, Any], str], Part]:
    def read(part: dict[str, Any], path: str) -> Part:
        value = part.get(field)
        if not isinstance(value, str):
            raise InvalidRequest(f"{path}.{field} must be text", param=f"{path}.{field}")
        return TextPart(value)

    return read


def _media_reader(kind: PartKind, field: str) -> Callable[[dict[str, Any], str], Part]:
    """Read ``{type, <field>: medium}``; newer APIs put the medium's fields beside the type."""

    def read(part: dict[str, Any], path: str) -> Part:
        value = part.get(field)
        return media_part(kind, part if value is None else value, f"{path}.{field}")

    return read


_READERS: Final[Mapping[str, Callable[[dict[str, Any], str], Part]]] = {
    "text": _text_reader("text"),
    "input_text": _text_reader("text"),
    "output_text": _text_reader("text"),
    "refusal": _text_reader("refusal"),
    "image_url": _media_reader("image", "image_url"),
    "input_image": _media_reader("image", "image_url"),
    "image": _media_reader("image", "image"),
    "video_url": _media_reader("video", "video_url"),
    "video": _media_reader("video", "video"),
    "audio_url": _media_reader("audio", "audio_url"),
    "input_audio": _media_reader("audio", "input_audio"),
    "audio": _media_reader("audio", "audio"),
    "file": _media_reader("file", "file"),
    "input_file": _media_reader("file", "file"),
}


def _data_url(value: dict[str, Any], path: str) -> str:
    """Return bytes that came inside the part as a ``data:`` URL, "" when there are none."""
    data = _text(value, "file_data", path) or _text(value, "data", path)
    if not data or data.startswith("data:"):
        return data
    sound = _text(value, "format", path)
    return f"data:{f'audio/{sound}' if sound else 'application/octet-stream'};base64,{data}"


def _text(value: dict[str, Any], field: str, path: str) -> str:
    found = value.get(field)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise InvalidRequest(f"{path}.{field} must be text", param=f"{path}.{field}")
    return found
