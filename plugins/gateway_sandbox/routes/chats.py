"""Chats: make, list, read, delete."""

import uuid
from typing import Any

from litestar import Request, Response, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from ..calls import NewChat, decode
from ..records import Chat, Message
from ..refusals import not_found, validation_error
from ..sandbox import Sandbox
from .answers import origin, succeeded

__all__ = ["CHATS"]

_PAGE = 50


@post("/api/v2/chats/new", status_code=200)
async def make_chat(request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox]) -> Response[bytes]:
    """Make a chat; nothing is charged."""
    owner = sandbox.caller(request)
    body = decode(await request.body(), NewChat)
    if not body.models:
        raise validation_error("models", "at least one model")
    chat = Chat(
        id=str(uuid.uuid4()),
        owner=owner,
        created=sandbox.now(),
        title=body.title,
        model=body.models[0],
        chat_type=body.chat_type,
        mode=body.chat_mode,
    )
    await sandbox.store.put(chat)
    return succeeded({"id": chat.id})


@get("/api/v2/chats")
async def list_chats(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], page: FromQuery[int] = 1
) -> Response[bytes]:
    """Return the caller's chats, newest first, fifty a page; `local` chats are not listed."""
    chats = await sandbox.store.find(Chat, owner=sandbox.caller(request))
    listed = [chat for chat in reversed(chats) if chat.mode != "local"]
    start = (max(page, 1) - 1) * _PAGE
    return succeeded([_head(chat) for chat in listed[start : start + _PAGE]])


@get("/api/v2/chats/{chat_id:str}")
async def read_chat(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], chat_id: FromPath[str]
) -> Response[bytes]:
    """Return a whole chat: lost pictures and task ids can be found in it."""
    chat = await _own_chat(sandbox, request, chat_id)
    messages = await sandbox.store.find(Message, group=chat.id)
    views = [_view(message, messages, origin(request)) for message in messages]
    history = {
        "messages": {view["id"]: view for view in views},
        "currentId": views[-1]["id"] if views else None,
    }
    return succeeded({**_head(chat), "chat": {"history": history, "messages": views, "models": [chat.model]}})


@delete("/api/v2/chats/{chat_id:str}", status_code=200)
async def delete_chat(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], chat_id: FromPath[str]
) -> Response[bytes]:
    """Forget a chat; its tasks and media stay."""
    chat = await _own_chat(sandbox, request, chat_id)
    await sandbox.store.delete_chat(chat.id)
    return succeeded({"status": True})


CHATS = [make_chat, list_chats, read_chat, delete_chat]


async def _own_chat(sandbox: Sandbox, request: Request[Any, Any, Any], chat_id: str) -> Chat:
    chat = await sandbox.store.get(Chat, chat_id, sandbox.caller(request))
    if chat is None:
        raise not_found(f"Chat {chat_id} is not exist")
    return chat


def _head(chat: Chat) -> dict[str, Any]:
    stamp = int(chat.created)
    return {
        "id": chat.id,
        "title": chat.title,
        "chat_type": chat.chat_type,
        "models": [chat.model],
        "created_at": stamp,
        "updated_at": stamp,
    }


def _view(message: Message, all_messages: list[Message], base: str) -> dict[str, Any]:
    content = message.content
    files = [
        {"type": f.kind, "name": f.name, "file_type": f.media_type, "url": f.url} for f in message.attachments
    ]
    return {
        "id": message.id,
        "parentId": message.parent_id,
        "childrenIds": [other.id for other in all_messages if other.parent_id == message.id],
        "role": message.role,
        "content": base + content if content.startswith("/output/") else content,
        "chat_type": message.chat_type,
        "sub_chat_type": message.chat_type,
        "model": message.model,
        "files": files,
        "extra": message.extra,
        "done": message.done,
        "timestamp": int(message.created),
    }
