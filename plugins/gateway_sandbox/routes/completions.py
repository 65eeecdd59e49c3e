"""The completions route: text and pictures as a stream, videos as a task."""

from typing import Any, cast

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from ..calls import CompletionCall, decode
from ..faults import OUTCOME_SCOPE_KEY
from ..records import Chat, Outcome
from ..refusals import envelope, not_found
from ..replies import answer_image, answer_text, create_video
from ..sandbox import Sandbox
from ..streaming import EventStream
from ..turns import open_turn
from .answers import origin, succeeded

__all__ = ["COMPLETIONS"]


@post("/api/v2/chat/completions", status_code=200)
async def complete(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], chat_id: FromQuery[str | None] = None
) -> ASGIApp:
    """Answer one user message."""
    owner = sandbox.caller(request)
    call = decode(await request.body(), CompletionCall)
    call.check(chat_id)
    turn = await open_turn(sandbox, owner, call)
    if turn.kind == "video":
        outcome = cast("Outcome", request.scope.get(OUTCOME_SCOPE_KEY, "success"))
        data = await create_video(sandbox, turn, outcome)
        return ASGIResponse(body=envelope(data), media_type="application/json")
    image = turn.kind == "image"
    frames = answer_image(sandbox, turn, origin(request)) if image else answer_text(sandbox, turn)
    return await EventStream.primed(frames)


@post("/api/v2/chat/completions/stop", status_code=200)
async def stop_answer(
    request: Request[Any, Any, Any], sandbox: NamedDependency[Sandbox], chat_id: FromQuery[str]
) -> Response[bytes]:
    """Stop a running answer."""
    chat = await sandbox.store.get(Chat, chat_id, sandbox.caller(request))
    if chat is None:
        raise not_found(f"Chat {chat_id} is not exist")
    return succeeded({"status": sandbox.stop(chat.id)})


COMPLETIONS = [complete, stop_answer]
