"""A long history of finished tasks, put into a store without making them."""

import asyncio
import time

import msgspec

from gateway.generation.events import Media
from gateway.generation.requests import GenerationRequest, Message, TextPart
from gateway.state.sqlite import SqliteStore
from gateway.state.store import Record, StateStore
from gateway.tasks.records import TABLE
from gateway.tasks.task import State, Task

__all__ = ["record_tasks", "write_history"]

_WEEK = 7 * 86_400.0
_AT_ONCE = 1_000
_FILM = Media("video", "https://cdn.qwenlm.ai/output/film.mp4", media_type="video/mp4")
_REQUEST = GenerationRequest(
    chat_type="t2v", model="bench", messages=(Message("user", (TextPart("A video."),)),)
)


async def record_tasks(store: StateStore, owner: str, count: int) -> None:
    """Store so many finished tasks, which are to be swept in a week."""
    now = time.time()
    records = [_record(owner, number, now) for number in range(count)]
    for start in range(0, count, _AT_ONCE):
        await asyncio.gather(*(store.put(TABLE, record) for record in records[start : start + _AT_ONCE]))


def write_history(path: str, owner: str, count: int) -> None:
    """Make a state file with so many finished tasks."""
    asyncio.run(_write(path, owner, count))


async def _write(path: str, owner: str, count: int) -> None:
    store = await SqliteStore.open(path)
    await record_tasks(store, owner, count)
    await store.aclose()


def _record(owner: str, number: int, now: float) -> Record:
    finished = now - number
    task = Task(
        id=f"{number:032x}",
        owner=owner,
        state=State.COMPLETED,
        request=_REQUEST,
        upstream="qwen",
        account="qwen-0",
        created=finished - 60.0,
        updated=finished,
        finished=finished,
        expires=finished + _WEEK,
        media=(_FILM,),
    )
    return Record(
        key=task.id,
        value=msgspec.json.encode(task),
        owner=owner,
        order=task.created,
        due=task.expires,
        expires=task.expires + _WEEK,
    )
