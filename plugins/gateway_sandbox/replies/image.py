"""A picture's answer: keep-alive frames while it is made, then its address."""

import asyncio
import time
from collections.abc import AsyncGenerator

import msgspec

from .. import frames
from ..gallery import link, reserve
from ..records import Media
from ..sandbox import Sandbox
from ..sizes import edited_pixels, image_pixels
from ..turns import Turn

__all__ = ["answer_image"]


async def answer_image(sandbox: Sandbox, turn: Turn, origin: str) -> AsyncGenerator[bytes, None]:
    """Yield the frames of one picture; `origin` is where the caller reached the sandbox."""
    with sandbox.answering(turn.chat.id) as stop:
        media = await _accept(sandbox, turn)
        yield frames.created(turn.chat.id, turn.user.id, turn.answer.id)
        due = time.monotonic() + sandbox.settings.image_seconds
        while (left := due - time.monotonic()) > 0:
            if await _stopped(stop, min(left, sandbox.settings.keep_alive_seconds)):
                return
            if time.monotonic() < due:
                yield frames.keep_alive(turn.chat.id, turn.answer.id)
        yield frames.image(turn.answer.id, origin + link(media), media.width, media.height)
        yield frames.image_finished(turn.answer.id, media.width, media.height)


async def _accept(sandbox: Sandbox, turn: Turn) -> Media:
    """Charge the account and keep turn and recipe; the picture is part of the chat from here on."""
    source = next((file.path for file in turn.user.attachments if file.kind == "image" and file.path), "")
    width, height = edited_pixels(turn.ratio) if source else image_pixels(turn.ratio)
    async with sandbox.counting:
        await sandbox.check_quota(turn.chat.owner, turn.call.chat_type)
        media = await reserve(sandbox, turn, "t2i", (width, height), source)
        answer = msgspec.structs.replace(turn.answer, content=link(media), done=True)
        await sandbox.store.put(turn.user, answer, media)
    return media


async def _stopped(stop: asyncio.Event, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
