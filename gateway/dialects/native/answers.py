"""The bodies that the native API answers with."""

from typing import Final, Literal

import msgspec
from msgspec import UNSET, UnsetType

from gateway.dialects.media_urls import media_lines, media_url
from gateway.dialects.openai.chat_completion import AnswerChoice, AnswerMessage, encode_with, write_choices
from gateway.dialects.token_usage import (
    CompletionDetails,
    PromptDetails,
    TokenUsage,
    count_answer,
)
from gateway.generation.events import Media, Usage
from gateway.generation.requests import GenerationRequest
from gateway.generation.results import GenerationResult, Reply
from gateway.generation.views import TaskView

__all__ = [
    "AcceptedTask",
    "NativeAnswer",
    "TaskStatusAnswer",
    "encode_answer",
    "write_accepted",
    "write_status",
]


class NativeUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What was used.

    Text is counted as in OpenAI's API, pictures as the provider counts them (width and height are
    pixels), films with `prompt_tokens`, `output_tokens` and `total_tokens`.
    """

    prompt_tokens: int | UnsetType = UNSET
    completion_tokens: int | UnsetType = UNSET
    input_tokens: int | UnsetType = UNSET
    output_tokens: int | UnsetType = UNSET
    total_tokens: int | UnsetType = UNSET
    prompt_tokens_details: PromptDetails | UnsetType = UNSET
    completion_tokens_details: CompletionDetails | UnsetType = UNSET
    characters: int | UnsetType = UNSET
    width: int | UnsetType = UNSET
    image_count: int | UnsetType = UNSET
    height: int | UnsetType = UNSET


class NativeImage(msgspec.Struct, frozen=True):
    """One picture; width and height are pixels, 0 when unknown."""

    url: str
    width: int
    height: int


class NativeAnswer(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="chat.completion"):
    """A whole answer. Send `chatId` and `parentId` back to go on from it.

    The content of pictures and films is nothing but their addresses, a line each; what the model said
    about them is in `revised_prompt`.
    """

    id: str
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: NativeUsage
    response_id: str | UnsetType = UNSET
    task_id: str | UnsetType = UNSET
    video_url: str | UnsetType = UNSET
    images: list[NativeImage] | UnsetType = UNSET
    revised_prompt: str | UnsetType = UNSET
    chat_id: str = msgspec.field(name="chatId")
    parent_id: str = msgspec.field(name="parentId")


class AcceptedTask(msgspec.Struct, frozen=True, kw_only=True, tag_field="object", tag="chat.completion.task"):
    """A task that has begun; ask for its status until it is completed or failed."""

    id: str
    created: int
    model: str
    task_id: str
    status: str
    chat_id: str = msgspec.field(name="chatId")
    parent_id: str = msgspec.field(name="parentId")
    message: str


class TaskContent(msgspec.Struct, frozen=True):
    """What was made: its address, several on a line each."""

    content: str | None


class TaskStatusAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A task. `task_status` and `status` are the same word, times unix seconds, `progress` 0 to 100."""

    task_id: str
    task_status: Literal["pending", "processing", "completed", "failed"]
    status: Literal["pending", "processing", "completed", "failed"]
    chat_type: str
    model: str
    created: int
    updated: int
    progress: int
    content: str | None
    video_url: str | None
    data: TaskContent
    chat_id: str = msgspec.field(name="chatId")
    error: str | None
    code: str | UnsetType = UNSET


_WHOLE: Final = 100


def encode_answer(request: GenerationRequest, reply: Reply, result: GenerationResult) -> bytes:
    """Write a whole answer: of films, of pictures, or of text."""
    kinds = {media.kind for media in result.media}
    if "video" in kinds:
        body = _write_video(reply, result)
    elif "image" in kinds:
        body = _write_images(reply, result)
    else:
        body = _write_text(request, reply, result)
    return encode_with(body, result.extra)


def write_accepted(task: TaskView, reply: Reply) -> AcceptedTask:
    """Write the answer of a request that became a task."""
    return AcceptedTask(
        id=task.id,
        created=int(task.created),
        model=task.model,
        task_id=task.id,
        status="processing" if task.status == "pending" else task.status,
        chat_id=task.chat_id or reply.chat_id,
        parent_id=task.id,
        message=f"Poll GET /api/tasks/status/{task.id} until the status is completed or failed.",
    )


def write_status(task: TaskView, base_url: str) -> TaskStatusAnswer:
    """Write a task's state."""
    failed = task.status == "failed"
    content = media_lines(task.media, base_url) or task.text or None
    return TaskStatusAnswer(
        task_id=task.id,
        task_status=task.status,
        status=task.status,
        chat_type=task.chat_type,
        model=task.model,
        created=int(task.created),
        updated=int(task.updated),
        progress=_WHOLE if task.status == "completed" else min(_WHOLE - 1, int(task.progress * _WHOLE)),
        content=content,
        video_url=_video_url(task.media, base_url),
        data=TaskContent(content),
        chat_id=task.chat_id,
        error=(task.error_message or task.error_code or "The task failed") if failed else None,
        code=(task.error_code or "task_failed") if failed else UNSET,
    )


def _write_text(request: GenerationRequest, reply: Reply, result: GenerationResult) -> NativeAnswer:
    return NativeAnswer(
        id=reply.id,
        created=reply.created,
        model=reply.model,
        choices=write_choices(result, reply.base_url),
        usage=_text_usage(count_answer(request, result)),
        response_id=reply.id,
        chat_id=reply.chat_id,
        parent_id=reply.parent_id or reply.id,
    )


def _write_images(reply: Reply, result: GenerationResult) -> NativeAnswer:
    return NativeAnswer(
        id=reply.id,
        created=reply.created,
        model=reply.model,
        choices=_write_addresses(result, reply.base_url),
        revised_prompt=_said(result) or UNSET,
        usage=_image_usage(result.usage or Usage(), result.media),
        response_id=reply.id,
        task_id=result.task_id or UNSET,
        images=_write_pictures(result.media, reply.base_url),
        chat_id=reply.chat_id,
        parent_id=reply.parent_id or reply.id,
    )


def _write_pictures(media: tuple[Media, ...], base_url: str) -> list[NativeImage]:
    return [
        NativeImage(media_url(medium, base_url), medium.width, medium.height)
        for medium in media
        if medium.kind == "image"
    ]


def _write_video(reply: Reply, result: GenerationResult) -> NativeAnswer:
    task_id = result.task_id or reply.id
    return NativeAnswer(
        id=task_id,
        created=reply.created,
        model=reply.model,
        choices=_write_addresses(result, reply.base_url),
        revised_prompt=_said(result) or UNSET,
        usage=_film_usage(result.usage or Usage()),
        task_id=task_id,
        video_url=_video_url(result.media, reply.base_url) or UNSET,
        chat_id=reply.chat_id,
        parent_id=task_id,
    )


def _write_addresses(result: GenerationResult, base_url: str) -> list[AnswerChoice]:
    message = AnswerMessage(content=media_lines(result.media, base_url))
    return [AnswerChoice(index=0, message=message, finish_reason="stop")]


def _said(result: GenerationResult) -> str:
    return result.choices[0].text if result.choices else ""


def _text_usage(counted: TokenUsage) -> NativeUsage:
    return NativeUsage(**msgspec.structs.asdict(counted))


def _film_usage(usage: Usage) -> NativeUsage:
    return NativeUsage(
        prompt_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
    )


def _image_usage(usage: Usage, media: tuple[Media, ...]) -> NativeUsage:
    return NativeUsage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        characters=0,
        width=usage.width or media[0].width,
        image_count=usage.media or len(media),
        height=usage.height or media[0].height,
    )


def _video_url(media: tuple[Media, ...], base_url: str) -> str | None:
    return next((media_url(medium, base_url) for medium in media if medium.kind == "video"), None)
