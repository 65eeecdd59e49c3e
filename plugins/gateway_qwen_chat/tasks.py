"""Videos as tasks: prepared free of charge, paid for once, found again in their chat."""

import logging

import msgspec

from gateway.generation.errors import InvalidAnswer, NotFound, TaskIdMissing
from gateway.generation.events import Thread
from gateway.generation.requests import GenerationRequest
from gateway.plugin_api import Account, Prepared, TaskState, UpstreamTask

from .client import Client, is_safe_id
from .settings import QwenChatSettings
from .video import outline, read_creation, read_state, task_ids

__all__ = ["VideoTasks"]

_log = logging.getLogger(__name__)


class VideoTasks:
    """Orders videos and asks after them."""

    def __init__(self, client: Client, settings: QwenChatSettings) -> None:
        self._client = client
        self._settings = settings

    async def prepare(self, request: GenerationRequest, account: Account, thread: Thread | None) -> Prepared:
        """Return where the video will be ordered; `reference` names the videos that this chat already has."""
        if thread is None:
            return Prepared(thread=await self._client.new_chat(request, account))
        known = task_ids(await self._client.messages(thread.chat, account))
        return Prepared(" ".join(known), thread)

    async def submit(self, request: GenerationRequest, prepared: Prepared, account: Account) -> UpstreamTask:
        """Order the video. Raises `TaskIdMissing` when the order was taken without a task id."""
        place = _place(prepared)
        body = await self._client.complete(request, place, account)
        task_id, message_id = read_creation(body)
        if not is_safe_id(task_id):
            _log.error("a video's creation has no task id: %s", outline(msgspec.json.decode(body)))
            raise TaskIdMissing("Task ID not found in response", sent=True)
        return UpstreamTask(task_id, thread=Thread(place.chat, message_id or place.parent))

    async def poll(self, task: UpstreamTask, account: Account) -> TaskState:
        """Ask on the flat route, and on the enveloped one before a task counts as missing."""
        for path in (f"/api/v1/tasks/status/{task.id}", f"/api/v2/task/status/{task.id}"):
            try:
                body = await self._client.call("GET", path, account, named=True)
            except NotFound:
                continue
            return read_state(body, self._settings.is_private)
        return TaskState("missing")

    async def reconcile(self, prepared: Prepared, account: Account) -> UpstreamTask | None:
        """Find the video that the chat did not have when it was prepared."""
        place = _place(prepared)
        try:
            messages = await self._client.messages(place.chat, account)
        except NotFound:
            return None
        new = set(task_ids(messages)).difference(prepared.reference.split())
        # Two of them would be a guess, and a wrong one shows a caller somebody else's order.
        (task_id,) = new if len(new) == 1 else ("",)
        return UpstreamTask(task_id, thread=place) if is_safe_id(task_id) else None


def _place(prepared: Prepared) -> Thread:
    if prepared.thread is None:
        raise InvalidAnswer("The video was prepared without a chat.")
    return prepared.thread
