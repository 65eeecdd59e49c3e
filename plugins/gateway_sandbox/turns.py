"""One call of the completions route: checked, put into its chat, with what was said before."""

import uuid
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from .calls import CompletionCall
from .catalogue import is_known
from .records import Attachment, Chat, File, Message
from .refusals import bad_request, not_found, validation_error
from .sandbox import Sandbox
from .sizes import require_ratio

__all__ = ["Turn", "open_turn"]

_TEXT = {"t2t", "search", "deep_research", "artifacts", "web_dev", "learn", "travel", "slides"}
_IMAGE = {"t2i", "image_edit"}
_VIDEO = {"t2v", "i2v"}


class Turn(msgspec.Struct, frozen=True):
    """A call that is allowed; `user` and `answer` are the new messages, not yet stored."""

    chat: Chat
    call: CompletionCall
    user: Message
    answer: Message
    history: tuple[Message, ...]
    ratio: str

    @property
    def kind(self) -> str:
        """What is to be made: text, image or video."""
        return _kind(self.call.chat_type)

    @property
    def knows_model(self) -> bool:
        """Whether the model exists; an unknown one answers nothing at all."""
        return is_known(self.call.model)


async def open_turn(sandbox: Sandbox, owner: str, call: CompletionCall) -> Turn:
    """Find chat, parent and attachments of a call; raises a `Refusal` if one of them is wrong."""
    _check_stream(call)
    ratio = require_ratio(call.size, "1:1" if _kind(call.chat_type) == "image" else "16:9")
    chat = await sandbox.store.get(Chat, call.chat_id, owner)
    if chat is None:
        raise not_found(f"Chat {call.chat_id} is not exist")
    history = await _history(sandbox, chat, call.parent_id)
    attachments = [await _attachment(sandbox, owner, link) for link in call.message.links]
    user = _message(sandbox, chat, call, "user", call.parent_id)
    user = msgspec.structs.replace(user, content=call.message.text, attachments=tuple(attachments))
    answer = _message(sandbox, chat, call, "assistant", user.id)
    return Turn(chat, call, user, answer, history, ratio)


def _kind(chat_type: str) -> str:
    for kind, names in (("text", _TEXT), ("image", _IMAGE), ("video", _VIDEO)):
        if chat_type in names:
            return kind
    raise validation_error("messages.0.chat_type", f"unknown chat type '{chat_type}'")


def _check_stream(call: CompletionCall) -> None:
    if call.stream == (_kind(call.chat_type) == "video"):
        raise bad_request(f"stream must be {str(not call.stream).lower()} for chat_type {call.chat_type}")


def _message(sandbox: Sandbox, chat: Chat, call: CompletionCall, role: Any, parent: str | None) -> Message:
    return Message(
        id=str(uuid.uuid4()),
        owner=chat.owner,
        created=sandbox.now(),
        chat_id=chat.id,
        parent_id=parent,
        role=role,
        content="",
        chat_type=call.chat_type,
        model=call.model,
        done=role == "user",
    )


async def _history(sandbox: Sandbox, chat: Chat, parent_id: str | None) -> tuple[Message, ...]:
    """Return the messages from the first turn to the parent, which must be an answer of this chat."""
    if not parent_id:
        return ()
    known = {message.id: message for message in await sandbox.store.find(Message, group=chat.id)}
    message = known.get(parent_id)
    if message is None or message.role != "assistant":
        raise bad_request(f"parent_id {parent_id} is not exist")
    line = []
    while message is not None:
        line.append(message)
        message = known.get(message.parent_id or "")
    return tuple(reversed(line))


async def _attachment(sandbox: Sandbox, owner: str, link: dict[str, Any]) -> Attachment:
    """Return the attachment behind a link; one of our own uploads must be the caller's, and uploaded."""
    url = str(link.get("url") or "")
    path = unquote(urlsplit(url).path).lstrip("/")
    known = await sandbox.store.get(File, path)
    if known is not None and (known.owner != owner or known.size < 0):
        raise not_found(f"File {known.file_id} is not exist")
    kind = str(link.get("type") or "file")
    if known is None and kind != "image":
        raise bad_request("Only uploaded files can be attached")
    name = str(link.get("name") or path.rpartition("/")[2] or "attachment")
    return Attachment(
        name=known.name if known else name,
        kind=kind,
        media_type=str(link.get("file_type") or (known.media_type if known else "image/*")),
        url=url,
        path=known.id if known else "",
        size=known.size if known else 0,
    )
