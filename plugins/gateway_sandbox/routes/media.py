"""Pictures and videos, for whoever has the key; no account token is asked."""

import hmac
import re
from typing import Any

from litestar import HttpMethod, Request, Response, route
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from ..gallery import content_of, media_type
from ..records import Media
from ..sandbox import Sandbox

__all__ = ["MEDIA"]

_RANGE = re.compile(r"bytes=(\d*)-(\d*)$")


@route(
    "/output/{owner:str}/{kind:str}/{response_id:str}/{name:str}",
    http_method=[HttpMethod.GET, HttpMethod.HEAD],
)
async def read_media(
    request: Request[Any, Any, Any],
    sandbox: NamedDependency[Sandbox],
    owner: FromPath[str],
    kind: FromPath[str],
    response_id: FromPath[str],
    name: FromPath[str],
    key: FromQuery[str] = "",
) -> Response[bytes]:
    """Return the bytes, or the part that a `Range` header asks for."""
    media = await sandbox.store.get(Media, f"output/{owner}/{kind}/{response_id}/{name}")
    if media is None or not hmac.compare_digest(key.encode(), media.key.encode()):
        return Response(b"Forbidden", status_code=403, media_type="text/plain")
    content = await content_of(sandbox, media)
    return _whole_or_part(content, media_type(media), request.headers.get("range"), request.method == "HEAD")


MEDIA = [read_media]


def _whole_or_part(content: bytes, kind: str, wanted: str | None, head: bool) -> Response[bytes]:
    headers = {"accept-ranges": "bytes", "cache-control": "private, max-age=86400"}
    part = _part(wanted, len(content)) if wanted else None
    if part is None:
        return _reply(content, 200, headers, kind, head)
    start, end = part
    if start >= end:
        return _reply(b"", 416, headers | {"content-range": f"bytes */{len(content)}"}, kind, head)
    headers["content-range"] = f"bytes {start}-{end - 1}/{len(content)}"
    return _reply(content[start:end], 206, headers, kind, head)


def _reply(content: bytes, status: int, headers: dict[str, str], kind: str, head: bool) -> Response[bytes]:
    headers = headers | {"content-length": str(len(content))}
    return Response(b"" if head else content, status_code=status, headers=headers, media_type=kind)


def _part(wanted: str, size: int) -> tuple[int, int] | None:
    """Start and end of a single range; `None` for headers that are to be ignored."""
    match = _RANGE.fullmatch(wanted)
    if match is None or not (match[1] or match[2]):
        return None
    if not match[1]:
        return max(size - int(match[2]), 0), size
    return int(match[1]), min(int(match[2]) + 1, size) if match[2] else size
