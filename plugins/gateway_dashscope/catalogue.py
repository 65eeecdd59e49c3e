"""What each model takes: its route, its sizes, its lengths. Defaults of the settings, from the API's pages.

Sizes are ``W*H`` with an asterisk. The tables are configuration because the provider changes them, and
because a wrong size is often found only in the queue, minutes later.
"""

from typing import Literal

import msgspec

__all__ = ["IMAGE_MODELS", "TEXT_MODELS", "VIDEO_MODELS", "VIDEO_SIZES", "ImageModel", "VideoModel"]


class ImageModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model draws.

    `sync` models answer while the caller waits, `task` names the route of those that queue; some do both.
    `sizes` by ratio, none where the model decides. `most` pictures are made by one call. `edits` models
    need a picture to begin with.
    """

    sync: bool = False
    task: Literal["", "text2image", "image2image", "image-generation"] = ""
    sizes: dict[str, str] = {}
    most: int = 1
    edits: bool = False


class VideoModel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a model films.

    `form` is how the wire is told the picture's size: in pixels, as a tier and a ratio, or as a tier alone.
    `tiers` are the resolutions, the default first; `seconds` the lengths, the default first. `takes` says
    whether it films from text, from a first picture, or between two.
    """

    form: Literal["size", "ratio", "resolution"] = "size"
    tiers: tuple[str, ...]
    seconds: tuple[int, ...] = (5,)
    takes: Literal["text", "image", "frames"] = "text"


_QWEN = {"16:9": "1664*928", "4:3": "1472*1104", "1:1": "1328*1328", "3:4": "1104*1472", "9:16": "928*1664"}
_WAN = {"1:1": "1280*1280", "3:4": "1104*1472", "4:3": "1472*1104", "9:16": "960*1696", "16:9": "1696*960"}
_EARLY = {"1:1": "1024*1024", "16:9": "1280*720", "9:16": "720*1280", "4:3": "1152*864", "3:4": "864*1152"}
_EDITED = {"1:1": "1280*1280", "3:4": "960*1280", "4:3": "1280*960", "9:16": "720*1280", "16:9": "1280*720"}

_QWEN_BOTH = ImageModel(sync=True, task="text2image", sizes=_QWEN)
_QWEN_SYNC = ImageModel(sync=True, sizes=_QWEN)
_QWEN_MANY = ImageModel(sync=True, sizes=_QWEN, most=6)
_QWEN_EDIT = ImageModel(sync=True, edits=True)
_WAN_BOTH = ImageModel(sync=True, task="image-generation", sizes=_WAN, most=4)
_WAN_QUEUED = ImageModel(task="text2image", sizes=_EARLY, most=4)

TEXT_MODELS = ("qwen3-max", "qwen-plus", "qwen-flash", "qwen3-vl-plus", "qwen3-coder-plus")

IMAGE_MODELS: dict[str, ImageModel] = {
    "qwen-image": _QWEN_BOTH,
    "qwen-image-plus": _QWEN_BOTH,
    "qwen-image-max": _QWEN_SYNC,
    "qwen-image-2.0": _QWEN_MANY,
    "qwen-image-2.0-pro": _QWEN_MANY,
    "qwen-image-2.1": _QWEN_MANY,
    "qwen-image-3.0": _QWEN_MANY,
    "qwen-image-3.0-pro": _QWEN_MANY,
    "qwen-image-edit": _QWEN_EDIT,
    "qwen-image-edit-plus": _QWEN_EDIT,
    "wan2.7-image": _WAN_BOTH,
    "wan2.7-image-pro": _WAN_BOTH,
    "wan2.6-t2i": _WAN_BOTH,
    "wan2.6-image": ImageModel(sync=True, task="image-generation", sizes=_EDITED, most=4, edits=True),
    "wan2.5-t2i-preview": ImageModel(task="text2image", sizes=_WAN, most=4),
    "wan2.5-i2i-preview": ImageModel(task="image2image", sizes=_EDITED, most=4, edits=True),
    "wan2.2-t2i-flash": _WAN_QUEUED,
    "wan2.2-t2i-plus": _WAN_QUEUED,
    "wanx2.1-t2i-turbo": _WAN_QUEUED,
    "wanx2.1-t2i-plus": _WAN_QUEUED,
    "wanx2.0-t2i-turbo": _WAN_QUEUED,
    "z-image-turbo": ImageModel(sync=True, sizes=_EARLY),
}

VIDEO_SIZES: dict[str, dict[str, str]] = {
    "480P": {"16:9": "832*480", "9:16": "480*832", "1:1": "624*624"},
    "720P": {
        "16:9": "1280*720",
        "9:16": "720*1280",
        "1:1": "960*960",
        "4:3": "1088*832",
        "3:4": "832*1088",
    },
    "1080P": {
        "16:9": "1920*1080",
        "9:16": "1080*1920",
        "1:1": "1440*1440",
        "4:3": "1632*1248",
        "3:4": "1248*1632",
    },
}

VIDEO_MODELS: dict[str, VideoModel] = {
    "wan2.7-t2v": VideoModel(
        form="ratio", tiers=("1080P", "720P"), seconds=(5, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
    ),
    "wan2.6-t2v": VideoModel(tiers=("1080P", "720P"), seconds=(5, 10, 15)),
    "wan2.5-t2v-preview": VideoModel(tiers=("1080P", "720P", "480P"), seconds=(5, 10)),
    "wan2.2-t2v-plus": VideoModel(tiers=("1080P", "480P")),
    "wanx2.1-t2v-turbo": VideoModel(tiers=("720P", "480P")),
    "wanx2.1-t2v-plus": VideoModel(tiers=("720P",)),
    "wan2.6-i2v": VideoModel(form="resolution", tiers=("1080P", "720P"), seconds=(5, 10, 15), takes="image"),
    "wan2.5-i2v-preview": VideoModel(
        form="resolution", tiers=("1080P", "720P", "480P"), seconds=(5, 10), takes="image"
    ),
    "wan2.2-i2v-plus": VideoModel(form="resolution", tiers=("1080P", "480P"), takes="image"),
    "wanx2.1-kf2v-plus": VideoModel(form="resolution", tiers=("720P",), takes="frames"),
}
