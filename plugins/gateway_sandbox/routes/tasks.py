"""The state of a video, in the flat v1 form and the v2 envelope."""

from typing import Any

from litestar import Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from ..gallery import link
from ..records import Media, Task
from ..refusals import not_found
from ..sandbox import Sandbox
from .answers import flat, origin, succeeded

__all__ = ["TASKS"]


@get("/api/v1/tasks/status/{task_id:str}")
async def task_status(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], task_id: FromPath[str]
) -> Response[bytes]:
    """Return the state of the caller's own task."""
    return flat(await _status(request, sandbox, task_id))


@get("/api/v2/task/status/{task_id:str}")
async def task_status_v2(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], task_id: FromPath[str]
) -> Response[bytes]:
    """Return the same in the v2 envelope."""
    return succeeded(await _status(request, sandbox, task_id))


TASKS = [task_status, task_status_v2]


async def _status(request: Request[Any, Any, Any], sandbox: Sandbox, task_id: str) -> dict[str, Any]:
    task = await sandbox.store.get(Task, task_id, sandbox.caller(request))
    media = await sandbox.store.get(Media, task.media) if task else None
    if task is None or media is None:
        raise not_found("Task not found")
    status = task.status(sandbox.now())
    return {
        "chat_type": task.chat_type,
        "task_status": status,
        "message": "The video could not be made." if status == "failed" else "",
        "remaining_time": "",
        "content": origin(request) + link(media) if status == "success" else "",
        "sub_chat_type": None,
        "duration": None,
    }
