"""Pictures and videos: a recipe at once, the bytes when somebody asks, kept from then on."""

import asyncio
import hashlib
import hmac
import uuid
from typing import Literal

from .art import paint_edit, paint_png
from .records import Media
from .sandbox import Sandbox
from .turns import Turn
from .video import film_mp4

__all__ = ["content_of", "link", "media_type", "reserve"]


async def reserve(
    sandbox: Sandbox, turn: Turn, kind: Literal["t2i", "t2v"], pixels: tuple[int, int], source: str
) -> Media:
    """Return the recipe of a new picture or video, not yet stored; an equal prompt gets a new variation."""
    owner, prompt = turn.chat.owner, turn.user.content
    digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
    variation = await sandbox.store.count(Media, owner, f"{kind}:{digest}", 0.0)
    seed = hashlib.sha256(f"{sandbox.settings.seed}:{digest}:{variation}".encode()).digest()
    path = f"output/{owner}/{kind}/{turn.answer.id}/{uuid.uuid4()}.{'png' if kind == 't2i' else 'mp4'}"
    return Media(
        id=path,
        owner=owner,
        created=sandbox.now(),
        key=hmac.digest(sandbox.secret.encode(), path.encode(), "sha256").hex(),
        kind=kind,
        prompt=prompt,
        digest=digest,
        seed=int.from_bytes(seed[:7]),
        width=pixels[0],
        height=pixels[1],
        source=source,
    )


def link(media: Media) -> str:
    """Return the address of the bytes, from the server's root; its `key` opens it to anybody."""
    return f"/{media.id}?key={media.key}"


def media_type(media: Media) -> str:
    """Return the content type of the bytes."""
    return "image/png" if media.kind == "t2i" else "video/mp4"


async def content_of(sandbox: Sandbox, media: Media) -> bytes:
    """Return the bytes, made in a thread at the first call; callers at the same time share that one."""
    content = await sandbox.store.read_blob(media.id)
    if content is not None:
        return content
    task = sandbox.painting.get(media.id)
    if task is None:
        task = sandbox.painting[media.id] = asyncio.create_task(_create(sandbox, media))
        task.add_done_callback(lambda _: sandbox.painting.pop(media.id, None))
    return await asyncio.shield(task)


async def _create(sandbox: Sandbox, media: Media) -> bytes:
    source = await sandbox.store.read_blob(media.source) if media.source else None
    loop = asyncio.get_running_loop()
    content = await loop.run_in_executor(sandbox.painters, _make, media, source)
    await sandbox.store.write_blob(media.id, content)
    return content


def _make(media: Media, source: bytes | None) -> bytes:
    size = (media.width, media.height)
    if media.kind == "t2v":
        return film_mp4(media.prompt, media.seed, size, source)
    if source is not None:
        return paint_edit(media.prompt, media.seed, size, source)
    return paint_png(media.prompt, media.seed, size)
