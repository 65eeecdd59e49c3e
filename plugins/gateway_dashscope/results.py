"""Reading answers: pictures and films, finished or still under way. Pure functions over the wire's JSON."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.generation.errors import GatewayError, TaskIdMissing, UpstreamError
from gateway.generation.events import AnyEvent, Finish, Media, Usage
from gateway.plugin_api import TaskState, decode_json, redact
from gateway.plugin_api.openai_wire import Refusal, refuse
from gateway_dashscope.client import is_safe_id

__all__ = ["ListedTask", "read_listing", "read_pictures", "read_prompt", "read_state", "read_task_id"]

_PIXELS = re.compile(r"(\d+)\*(\d+)")
_LONGEST_MESSAGE = 500
_ENDED = frozenset({"SUCCEEDED", "FAILED", "CANCELED", "UNKNOWN"})


class _Content(msgspec.Struct):
    image: str | None = None


class _Message(msgspec.Struct):
    content: list[_Content] | str = ""


class _Choice(msgspec.Struct):
    message: _Message = msgspec.field(default_factory=_Message)


class _Result(msgspec.Struct):
    """One picture of the older route, or why there is none."""

    url: str | None = None
    code: str | None = None
    message: str | None = None
    orig_prompt: str | None = None


class _Output(msgspec.Struct):
    task_id: str | None = None
    task_status: str | None = None
    code: str | None = None
    message: str | None = None
    choices: list[_Choice] = []
    results: list[_Result] = []
    video_url: str | None = None
    orig_prompt: str | None = None


class _Answer(msgspec.Struct):
    output: _Output = msgspec.field(default_factory=_Output)
    usage: Any = None
    code: str | None = None
    message: str | None = None


class ListedTask(msgspec.Struct):
    """A line of the task list. It has no prompt, and calls its state `status`."""

    task_id: str


class _Listing(msgspec.Struct):
    total: int = 0
    data: list[ListedTask] = []


_ANSWER = msgspec.json.Decoder(_Answer)
_LISTING = msgspec.json.Decoder(_Listing)


def read_task_id(body: bytes) -> str:
    """Return the id of a task that was made. Raises `TaskIdMissing`, or the error inside a 200."""
    answer = _read(body)
    task_id = answer.output.task_id or ""
    if not is_safe_id(task_id):
        raise TaskIdMissing("Task ID not found in response", sent=True)
    return task_id


def read_pictures(body: bytes) -> list[AnyEvent]:
    """Return the pictures that came at once, what they cost and the end. Raises the error inside a 200."""
    answer = _read(body)
    pictures = list(_media(answer))
    return [*pictures, _usage(answer, len(pictures)), Finish()]


def read_state(body: bytes) -> TaskState:
    """Return what a task's state says: it is inside a 200 whatever it is.

    The provider answers UNKNOWN for a task that is older than a day or another account's.
    """
    answer = _read(body)
    match answer.output.task_status:
        case "SUCCEEDED":
            return _succeeded(answer)
        case "FAILED":
            return _failed(answer.output.code, answer.output.message)
        case "CANCELED":
            return TaskState("failed", error_code="cancelled", error_message="The task was cancelled.")
        case "UNKNOWN":
            return TaskState("missing")
    return TaskState("running")


def read_prompt(body: bytes) -> str | None:
    """Return the prompt that a task was made from, "" if it does not show it; None while it is under way."""
    output = _read(body).output
    if output.task_status not in _ENDED:
        return None
    shown = (result.orig_prompt for result in output.results if result.orig_prompt)
    return output.orig_prompt or next(shown, "")


def read_listing(body: bytes) -> tuple[int, list[ListedTask]]:
    """Return how many tasks there are, and those of this page."""
    listing = decode_json(body, _LISTING)
    return listing.total, listing.data


def _read(body: bytes) -> _Answer:
    answer = decode_json(body, _ANSWER)
    if answer.code:
        raise _refusal(answer.code, answer.message)
    return answer


def _succeeded(answer: _Answer) -> TaskState:
    """Return the result; one good picture makes a task succeed, and none is a failure."""
    media = tuple(_media(answer))
    if media:
        return TaskState("completed", media=media, usage=_usage(answer, len(media)))
    refused = next((result for result in answer.output.results if result.code), _Result())
    return _failed(refused.code, refused.message)


def _failed(code: str | None, message: str | None) -> TaskState:
    error = _refusal(code or "", message)
    if isinstance(error, UpstreamError):
        shown = str(redact(message or ""))[:_LONGEST_MESSAGE]
        return TaskState("failed", error_code="task_failed", error_message=shown or "The task failed.")
    return TaskState("failed", error_code=error.code, error_message=error.message)


def _refusal(code: str, message: str | None) -> GatewayError:
    return refuse(Refusal(message or "", word=code.lower()))


def _media(answer: _Answer) -> Iterator[Media]:
    """Yield what was made. Pictures may be several in one choice, or one in each of several."""
    width, height = _pixels(answer.usage)
    if answer.output.video_url:
        yield Media("video", answer.output.video_url, media_type="video/mp4", width=width, height=height)
    urls = [result.url for result in answer.output.results]
    for choice in answer.output.choices:
        content = choice.message.content
        urls += [] if isinstance(content, str) else [part.image for part in content]
    for url in filter(None, urls):
        yield Media("image", url, width=width, height=height)


def _usage(answer: _Answer, made: int) -> Usage:
    """Return what was used. The names differ from model to model."""
    width, height = _pixels(answer.usage)
    return Usage(
        input_tokens=int(_number(answer.usage, "input_tokens")),
        output_tokens=int(_number(answer.usage, "output_tokens")),
        media=int(_number(answer.usage, "image_count", "output_image_count", "video_count")) or made,
        width=width,
        height=height,
        seconds=_number(answer.usage, "output_video_duration", "video_duration", "duration"),
    )


def _pixels(usage: Any) -> tuple[int, int]:
    width, height = _number(usage, "width", "output_width"), _number(usage, "height", "output_height")
    size = usage.get("size") if isinstance(usage, dict) else None
    pixels = _PIXELS.fullmatch(size) if isinstance(size, str) else None
    return (int(pixels[1]), int(pixels[2])) if pixels and not width else (int(width), int(height))


def _number(usage: Any, *names: str) -> float:
    """Return the first of these numbers that is there, 0 for none."""
    found = (usage.get(name) for name in names) if isinstance(usage, dict) else ()
    numbers = (value for value in found if isinstance(value, int | float) and value > 0)
    return float(next(numbers, 0))
