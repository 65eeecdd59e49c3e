"""Everything that is not a generation: tasks, models, files, chats."""

from collections.abc import Mapping
from typing import get_args

from gateway.dialects.base import Purpose
from gateway.dialects.uploads import read_upload
from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.dispatcher import Dispatcher
from gateway.generation.errors import InvalidRequest, NotFound, TooLarge
from gateway.generation.views import Chat, Deleted, Page, TaskStatus
from gateway.media.archive import Archive
from gateway.media.files import FileShelf
from gateway.tasks.engine import TaskEngine
from gateway.web.exchange import Exchange, Handler
from gateway.web.pages import read_page_query
from gateway.web.ranges import read_range

__all__ = ["ChatObjects", "FileObjects", "ModelObjects", "TaskObjects"]

_STATUSES = get_args(TaskStatus)


class TaskObjects:
    """Tasks of the caller, whichever dialect made them."""

    def __init__(self, tasks: TaskEngine, archive: Archive) -> None:
        self._tasks = tasks
        self._archive = archive

    def handlers(self) -> Mapping[Purpose, Handler]:
        """Return who serves which purpose."""
        return {
            Purpose.TASK_GET: self.get,
            Purpose.TASK_LIST: self.list,
            Purpose.TASK_CANCEL: self.cancel,
            Purpose.TASK_DELETE: self.delete,
            Purpose.TASK_CONTENT: self.content,
        }

    async def get(self, exchange: Exchange) -> None:
        """Answer with the task as its record has it; the provider is not asked."""
        view = await self._tasks.get(exchange.caller.owner, exchange.call.path["id"])
        exchange.observed.task_id = view.id
        await exchange.answer_view(view)

    async def list(self, exchange: Exchange) -> None:
        """Answer with a page of the caller's tasks."""
        query = read_page_query(exchange.call.query)
        page = await self._tasks.list(
            exchange.caller.owner,
            after=query.after,
            limit=query.limit,
            newest_first=query.newest_first,
            status=_read_status(exchange.call.query),
            chat_type=exchange.call.route.chat_type,
        )
        await exchange.answer_view(page)

    async def cancel(self, exchange: Exchange) -> None:
        """Stop a task; a provider that cannot makes it a 409."""
        await exchange.answer_view(await self._tasks.cancel(exchange.caller.owner, exchange.call.path["id"]))

    async def delete(self, exchange: Exchange) -> None:
        """Forget a task and what it made; an unfinished one is cancelled first."""
        task_id = exchange.call.path["id"]
        await self._tasks.delete(exchange.caller.owner, task_id)
        await exchange.answer_view(Deleted(task_id, "video"))

    async def content(self, exchange: Exchange) -> None:
        """Answer with the bytes that a finished task made."""
        view = await self._tasks.get(exchange.caller.owner, exchange.call.path["id"])
        if exchange.call.query.get("variant", "video") != "video":
            raise InvalidRequest("only the variant `video` is kept", param="variant")
        if view.status != "completed" or not view.media:
            raise NotFound("the video has no content yet" if view.status != "failed" else "the video failed")
        part = read_range(exchange.call.headers.get(b"range", b""))
        await exchange.answer_blob(await self._archive.open(view.media[0], part))


def _read_status(query: Mapping[str, str]) -> str:
    """Return the status that a list is filtered by, "" for all; raises `InvalidRequest`."""
    status = query.get("status", "")
    if status and status not in _STATUSES:
        raise InvalidRequest(f"status must be one of {', '.join(_STATUSES)}", param="status")
    return status


class ModelObjects:
    """The models that there are."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def handlers(self) -> Mapping[Purpose, Handler]:
        """Return who serves which purpose."""
        return {Purpose.MODEL_GET: self.get, Purpose.MODEL_LIST: self.list}

    async def get(self, exchange: Exchange) -> None:
        """Answer with one model."""
        await exchange.answer_view(self._catalogue.get(exchange.call.path["id"]))

    async def list(self, exchange: Exchange) -> None:
        """Answer with every model: clients expect no paging here."""
        await exchange.answer_view(Page(self._catalogue.models()))


class FileObjects:
    """The caller's uploads."""

    def __init__(self, shelf: FileShelf, max_bytes: int) -> None:
        self._shelf = shelf
        self._max_bytes = max_bytes

    def handlers(self) -> Mapping[Purpose, Handler]:
        """Return who serves which purpose."""
        return {
            Purpose.FILE_CREATE: self.create,
            Purpose.FILE_GET: self.get,
            Purpose.FILE_LIST: self.list,
            Purpose.FILE_DELETE: self.delete,
            Purpose.FILE_CONTENT: self.content,
        }

    async def create(self, exchange: Exchange) -> None:
        """Keep the part named `file`, unchanged."""
        upload = read_upload(exchange.call)
        if len(upload.data) > self._max_bytes:
            raise TooLarge(f"the file is over the limit of {self._max_bytes // 2**20} MB", param="file")
        file = await self._shelf.add(
            exchange.caller.owner,
            upload.data,
            name=upload.name,
            size=len(upload.data),
            media_type=upload.media_type,
            purpose=upload.purpose,
            lifetime=upload.expires_after or 0.0,
        )
        await exchange.answer_view(file)

    async def get(self, exchange: Exchange) -> None:
        """Answer with one file's description."""
        await exchange.answer_view(await self._shelf.get(exchange.caller.owner, exchange.call.path["id"]))

    async def list(self, exchange: Exchange) -> None:
        """Answer with a page of the caller's files."""
        query = read_page_query(exchange.call.query)
        page = await self._shelf.list(
            exchange.caller.owner, after=query.after, limit=query.limit, newest_first=query.newest_first
        )
        await exchange.answer_view(page)

    async def delete(self, exchange: Exchange) -> None:
        """Forget a file."""
        file_id = exchange.call.path["id"]
        await self._shelf.delete(exchange.caller.owner, file_id)
        await exchange.answer_view(Deleted(file_id, "file"))

    async def content(self, exchange: Exchange) -> None:
        """Answer with a file's bytes, as they were uploaded."""
        part = read_range(exchange.call.headers.get(b"range", b""))
        await exchange.answer_blob(
            await self._shelf.open(exchange.caller.owner, exchange.call.path["id"], part), _DOWNLOAD
        )


# A client's file must never run as a page under our address.
_DOWNLOAD = ((b"content-disposition", b"attachment"), (b"x-content-type-options", b"nosniff"))


class ChatObjects:
    """Conversations that are made before their first turn."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher

    def handlers(self) -> Mapping[Purpose, Handler]:
        """Return who serves which purpose."""
        return {Purpose.CHAT_CREATE: self.create}

    async def create(self, exchange: Exchange) -> None:
        """Make an empty conversation; its provider's chat is made with the first turn."""
        request = exchange.dialect.decode(exchange.call)
        conversation = await self._dispatcher.begin_chat(request, exchange.caller.owner)
        await exchange.answer_view(Chat(conversation.id))
