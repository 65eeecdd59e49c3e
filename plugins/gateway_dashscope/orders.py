"""Orders for pictures and films, checked before they go out: a bad one is often found in the queue only."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest, MediaPart
from gateway_dashscope.catalogue import ImageModel, VideoModel

__all__ = ["Order", "image_task", "picture_now", "pictures_of", "unsent", "video_task"]

_SERVICES = "/api/v1/services/aigc"
_MULTIMODAL = f"{_SERVICES}/multimodal-generation/generation"
_TASK_ROUTES = {
    "text2image": f"{_SERVICES}/text2image/image-synthesis",
    "image2image": f"{_SERVICES}/image2image/image-synthesis",
    "image-generation": f"{_SERVICES}/image-generation/generation",
}
_VIDEO = f"{_SERVICES}/video-generation/video-synthesis"
_BETWEEN_FRAMES = f"{_SERVICES}/image2video/video-synthesis"
_JSON = msgspec.json.Encoder()

_INPUTS = ("audio_url", "template")
_PARAMETERS = ("prompt_extend", "watermark", "enable_interleave", "shot_type", "audio")
_OWN = {*_INPUTS, *_PARAMETERS, "resolution"}
_NOT_FOR_MEDIA = ("tools", "tool_choice", "response_format", "thinking")


class Order(msgspec.Struct, frozen=True):
    """A route and the body that goes there."""

    path: str
    body: bytes


def picture_now(request: GenerationRequest, model: ImageModel) -> Order:
    """Write the order for pictures that come with the answer; at most as many as one call makes."""
    count = min(request.count, model.most)
    return _messages_order(_MULTIMODAL, request, model, count)


def image_task(request: GenerationRequest, model: ImageModel) -> Order:
    """Write the order for pictures that are queued. Raises `InvalidRequest` for more than one task makes."""
    if request.count > model.most:
        raise InvalidRequest(f"{request.model} makes 1 to {model.most} pictures in one task.", param="n")
    path = _TASK_ROUTES[model.task]
    if model.task == "image-generation":
        return _messages_order(path, request, model, request.count)
    pictures = {"images": _needed(request, 1)} if model.task == "image2image" else {}
    given = _named(prompt=request.prompt, negative_prompt=request.negative_prompt, **pictures)
    return _order(path, request, given, _image_parameters(request, model, request.count))


def video_task(
    request: GenerationRequest, model: VideoModel, sizes: Mapping[str, Mapping[str, str]]
) -> Order:
    """Write the order for a film. Raises `InvalidRequest` for a resolution, size or length that it lacks."""
    given = _named(prompt=request.prompt, negative_prompt=request.negative_prompt, **_frames(request, model))
    parameters = {
        **_picture_size(request, model, sizes),
        "duration": _seconds(request, model),
        **_named(seed=request.sampling.seed),
    }
    return _order(_BETWEEN_FRAMES if model.takes == "frames" else _VIDEO, request, given, parameters)


def pictures_of(request: GenerationRequest) -> list[str]:
    """Return the addresses of the pictures in the last user message."""
    last = next((message for message in reversed(request.messages) if message.role == "user"), None)
    parts = last.content if last else ()
    return [part.url for part in parts if isinstance(part, MediaPart) and part.kind == "image"]


def unsent(request: GenerationRequest, model: ImageModel | VideoModel | None) -> list[str]:
    """Return the fields of an order that have no place on this wire; parts follow a dot."""
    nowhere = [*_NOT_FOR_MEDIA]
    if isinstance(model, ImageModel):
        nowhere.append("seconds")
    if _sizeless(model):
        nowhere.append("size")
    if request.extra.keys() - _OWN:
        nowhere.append("extra")
    drawn = msgspec.structs.asdict(request.sampling)
    tokens = [f"sampling.{name}" for name, value in drawn.items() if value is not None and name != "seed"]
    return [name for name in nowhere if getattr(request, name)] + tokens


def _sizeless(model: ImageModel | VideoModel | None) -> bool:
    """Whether the model takes its picture's shape from what it is given."""
    return model.form == "resolution" if isinstance(model, VideoModel) else model is None or not model.sizes


def _messages_order(path: str, request: GenerationRequest, model: ImageModel, count: int) -> Order:
    """Write an order as one user message: its pictures, then its one text."""
    from_text = not model.edits or request.extra.get("enable_interleave") is True
    pictures = pictures_of(request) if from_text else _needed(request, 1)
    content = [*({"image": url} for url in pictures), {"text": request.prompt}]
    parameters = {
        **_image_parameters(request, model, count),
        **_named(negative_prompt=request.negative_prompt),
    }
    return _order(path, request, {"messages": [{"role": "user", "content": content}]}, parameters)


def _image_parameters(request: GenerationRequest, model: ImageModel, count: int) -> dict[str, Any]:
    """Return what every picture is ordered with; `n` always, because some models bill four by default."""
    return {**_named(size=_size(request, model.sizes)), "n": count, **_named(seed=request.sampling.seed)}


def _size(request: GenerationRequest, sizes: Mapping[str, str]) -> str:
    """Return the pixels of a ratio, "" where the model decides. Raises `InvalidRequest`."""
    if not sizes or not request.size:
        return ""
    if request.size not in sizes:
        raise InvalidRequest(f"{request.model} offers the sizes {', '.join(sizes)}.", param="size")
    return sizes[request.size]


def _picture_size(
    request: GenerationRequest, model: VideoModel, sizes: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    tier = str(request.extra.get("resolution") or model.tiers[0]).upper()
    if tier not in model.tiers:
        raise InvalidRequest(f"{request.model} offers {', '.join(model.tiers)}.", param="resolution")
    match model.form:
        case "size":
            return _named(size=_size(request, sizes[tier]))
        case "ratio":
            return {"resolution": tier, **_named(ratio=request.size)}
    return {"resolution": tier}


def _seconds(request: GenerationRequest, model: VideoModel) -> int:
    if request.seconds is None:
        return model.seconds[0]
    if request.seconds not in model.seconds:
        offered = ", ".join(map(str, sorted(model.seconds)))
        raise InvalidRequest(f"{request.model} makes films of {offered} seconds.", param="seconds")
    return int(request.seconds)


def _frames(request: GenerationRequest, model: VideoModel) -> dict[str, str]:
    match model.takes:
        case "image":
            return {"img_url": _needed(request, 1)[0]}
        case "frames":
            first, last, *_ = _needed(request, 2)
            return {"first_frame_url": first, "last_frame_url": last}
    return {}


def _needed(request: GenerationRequest, count: int) -> Sequence[str]:
    pictures = pictures_of(request)
    if len(pictures) < count:
        what = "a picture" if count == 1 else f"{count} pictures"
        raise InvalidRequest(f"{request.model} needs {what} in the message.", param="messages")
    return pictures


def _order(path: str, request: GenerationRequest, given: dict[str, Any], parameters: dict[str, Any]) -> Order:
    """Put an order together, with those of the caller's own fields that the wire knows."""
    own = request.extra
    body = {
        "model": request.model,
        "input": given | {name: own[name] for name in _INPUTS if name in own},
        "parameters": parameters | {name: own[name] for name in _PARAMETERS if name in own},
    }
    return Order(path, _JSON.encode(body))


def _named(**fields: Any) -> dict[str, Any]:
    """Return the fields that are set."""
    return {name: value for name, value in fields.items() if value not in (None, "")}
