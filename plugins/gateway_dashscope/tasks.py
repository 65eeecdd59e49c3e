"""Tasks: ordered once, asked after, found again in the account's list, stopped while they wait."""

import time
from datetime import datetime, timedelta, timezone
from typing import Final
from urllib.parse import urlencode

import msgspec
from msgspec.structs import replace

from gateway.generation.errors import InvalidRequest
from gateway.generation.requests import GenerationRequest, MediaPart
from gateway.plugin_api import Account, Prepared, TaskState, UpstreamTask, decode_json
from gateway.plugin_api.openai_wire import error_in, refuse_call
from gateway_dashscope.client import Client, is_safe_id
from gateway_dashscope.orders import Order, image_task, video_task
from gateway_dashscope.results import read_listing, read_prompt, read_state, read_task_id
from gateway_dashscope.settings import DashScopeSettings
from gateway_dashscope.storage import Storage, is_stored

__all__ = ["Tasks", "wire_time"]

_TASKS: Final = "/api/v1/tasks"
_ZONE: Final = timezone(timedelta(hours=8))
_EARLY: Final = 60.0
_LATE: Final = 180.0
"""Seconds around an order within which it may stand in the list: two clocks, and the order's own way."""
_PAGE: Final = 20
"""Tasks of one model in one window that are looked at; among more than these nothing is certain."""
_CUT_FROM: Final = 800
"""Characters that the provider keeps of any prompt; a longer one may be cut in silence."""


class _Sought(msgspec.Struct, frozen=True):
    """What an order can be known by again, and where its large attachments are."""

    model: str
    prompt: str
    since: float
    stored: tuple[str, ...] = ()


_SOUGHT = msgspec.json.Decoder(_Sought)
_JSON = msgspec.json.Encoder()
_ANY = msgspec.json.Decoder()


def wire_time(moment: float) -> str:
    """Say unix seconds as the task list takes them: in China's time, whose zone is never written."""
    return datetime.fromtimestamp(moment, _ZONE).strftime("%Y%m%d%H%M%S")


class Tasks:
    """Orders work that is queued, and asks after it."""

    def __init__(self, client: Client, settings: DashScopeSettings, storage: Storage) -> None:
        self._client = client
        self._settings = settings
        self._storage = storage

    async def prepare(self, request: GenerationRequest, account: Account) -> Prepared:
        """Check the order, store its large attachments, and note what it can be found by."""
        self._order(request)
        kept = await self._storage.keep_large(request, account)
        sought = _Sought(request.model, request.prompt, time.time(), tuple(_addresses(kept)))
        return Prepared(_JSON.encode(sought).decode())

    async def submit(self, request: GenerationRequest, prepared: Prepared, account: Account) -> UpstreamTask:
        """Order, once: there is no key that would make a second call harmless."""
        placed = _with_addresses(request, decode_json(prepared.reference.encode(), _SOUGHT).stored)
        order = self._order(placed)
        body = await self._client.call(
            "POST", order.path, account, order.body, queued=True, stored=is_stored(placed)
        )
        return UpstreamTask(read_task_id(body))

    async def poll(self, task: UpstreamTask, account: Account) -> TaskState:
        """Ask how a task is."""
        return read_state(await self._client.call("GET", f"{_TASKS}/{task.id}", account))

    async def reconcile(self, prepared: Prepared, account: Account) -> UpstreamTask | None:
        """Look through the account's tasks of that model and time for one with the order's own prompt.

        The list does not show prompts, and others may use the account: only a finished task says what it was
        made from. While one that could be the order is under way nobody knows, nor if two of them match.
        """
        sought = decode_json(prepared.reference.encode(), _SOUGHT)
        listed = await self._list(sought, account)
        if listed is None:
            return None
        shown = {task_id: await self._prompt_of(task_id, account) for task_id in listed}
        possible = [id_ for id_, prompt in shown.items() if prompt is None or _is_same(sought.prompt, prompt)]
        certain = len(possible) == 1 and shown[possible[0]] is not None
        return UpstreamTask(possible[0]) if certain else None

    async def cancel(self, task: UpstreamTask, account: Account) -> bool:
        """Stop a task that still waits; False once it runs."""
        answer = await self._client.ask("POST", f"{_TASKS}/{task.id}/cancel", account)
        if answer.status == 200:
            return True
        refusal = error_in(decode_json(answer.body, _ANY), answer.status)
        if refusal is not None and refusal.word == "unsupportedoperation":
            return False
        raise refuse_call(answer.status, answer.headers.get("retry-after", ""), answer.body)

    def _order(self, request: GenerationRequest) -> Order:
        settings = self._settings
        if request.chat_type == "t2v" and (film := settings.video_models.get(request.model)):
            return video_task(request, film, settings.video_sizes)
        if request.chat_type == "t2i" and (image := settings.image_models.get(request.model)) and image.task:
            return image_task(request, image)
        raise InvalidRequest(f"{request.model} is not made for queued work.", param="model")

    async def _list(self, sought: _Sought, account: Account) -> list[str] | None:
        """Return the tasks that the order may be, None when there are too many."""
        query = urlencode(
            {
                "model_name": sought.model,
                "start_time": wire_time(sought.since - _EARLY),
                "end_time": wire_time(sought.since + _LATE),
                "page_no": 1,
                "page_size": _PAGE,
            }
        )
        total, tasks = read_listing(await self._client.call("GET", f"{_TASKS}/?{query}", account))
        return None if total > len(tasks) else [task.task_id for task in tasks if is_safe_id(task.task_id)]

    async def _prompt_of(self, task_id: str, account: Account) -> str | None:
        return read_prompt(await self._client.call("GET", f"{_TASKS}/{task_id}", account))


def _is_same(prompt: str, shown: str) -> bool:
    return shown == prompt or (len(shown) >= _CUT_FROM and prompt.startswith(shown))


def _addresses(request: GenerationRequest) -> list[str]:
    """Return where each attachment is, in their order; "" for one that stays inside the call."""
    parts = (part for message in request.messages for part in message.content)
    return ["" if part.url.startswith("data:") else part.url for part in parts if isinstance(part, MediaPart)]


def _with_addresses(request: GenerationRequest, addresses: tuple[str, ...]) -> GenerationRequest:
    left = iter(addresses)
    messages = tuple(
        replace(
            message,
            content=tuple(
                replace(part, url=next(left, "") or part.url) if isinstance(part, MediaPart) else part
                for part in message.content
            ),
        )
        for message in request.messages
    )
    return replace(request, messages=messages)
