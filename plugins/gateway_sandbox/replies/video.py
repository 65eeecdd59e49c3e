"""A video's answer: a task, made in one step and kept before anybody hears of it."""

import uuid
from typing import Any

import msgspec

from ..gallery import reserve
from ..records import Outcome, Task
from ..sandbox import Sandbox
from ..sizes import video_pixels
from ..turns import Turn

__all__ = ["create_video"]


async def create_video(sandbox: Sandbox, turn: Turn, outcome: Outcome) -> dict[str, Any]:
    """Charge the account, keep the task, and return the `data` of the creation reply."""
    source = next((file.path for file in turn.user.attachments if file.kind == "image" and file.path), "")
    with sandbox.answering(turn.chat.id):
        async with sandbox.counting:
            await sandbox.check_quota(turn.chat.owner, turn.call.chat_type)
            media = await reserve(sandbox, turn, "t2v", video_pixels(turn.ratio), source)
            task = _task(sandbox, turn, media.id, outcome)
            answer = msgspec.structs.replace(turn.answer, extra={"wanx": {"task_id": task.id}})
            await sandbox.store.put(turn.user, answer, media, task)
    message = {"role": "assistant", "content": "", "extra": answer.extra, "done": False, "size": turn.ratio}
    return {
        "chat_id": turn.chat.id,
        "parent_id": turn.user.id,
        "message_id": answer.id,
        "messages": [message],
    }


def _task(sandbox: Sandbox, turn: Turn, media: str, outcome: Outcome) -> Task:
    return Task(
        id=str(uuid.uuid4()),
        owner=turn.chat.owner,
        created=sandbox.now(),
        chat_id=turn.chat.id,
        message_id=turn.answer.id,
        chat_type=turn.call.chat_type,
        prompt=turn.user.content,
        media=media,
        seconds=sandbox.settings.video_seconds,
        outcome=outcome,
    )
