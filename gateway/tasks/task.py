"""One task: its record, its steps, and what its owner sees of it."""

import enum
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.generation.errors import GatewayError
from gateway.generation.events import Media, Thread, Usage
from gateway.generation.requests import GenerationRequest
from gateway.generation.turns import Turn
from gateway.generation.views import TaskStatus, TaskView
from gateway.plugin_api.protocols import Prepared, UpstreamTask

__all__ = ["FINAL", "State", "Task", "decode_task"]


class State(enum.Enum):
    """Where a task is. Each step is durable before the next begins.

    submitting ─> accepted ─> completed | failed | cancelled | expired
        └─> unknown ──┘  a submit whose answer was lost, being looked for

    A task begins with its intent. Nothing is stored before: what is not there was never submitted.
    """

    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


FINAL: Final = frozenset({State.COMPLETED, State.FAILED, State.CANCELLED, State.EXPIRED})

_NEXT: Final[Mapping[State, frozenset[State]]] = {
    State.SUBMITTING: FINAL | {State.ACCEPTED, State.UNKNOWN},
    State.UNKNOWN: frozenset({State.ACCEPTED, State.FAILED, State.EXPIRED}),
    State.ACCEPTED: FINAL,
}

_STATUS: Final[Mapping[State, TaskStatus]] = {
    State.SUBMITTING: "pending",
    State.UNKNOWN: "processing",
    State.ACCEPTED: "processing",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "failed",
    State.EXPIRED: "failed",
}


class Task(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The record of a task. Times are unix seconds; `progress` is 0 to 1 and never falls.

    `upstream` and `account` name who was asked and alone may be asked again; addresses are never stored.
    `turn` is what it began in the conversation `chat_id`.
    `streamed`: no provider knows it as a task, one of our processes makes it. `misses` counts looks in a row
    that found no trace of it, `archivings` the attempts to keep what was made.
    """

    id: str
    owner: str
    state: State
    request: GenerationRequest
    upstream: str
    account: str
    created: float
    updated: float
    chat_id: str = ""
    turn: Turn = Turn()
    prepared: Prepared = Prepared()
    upstream_task: UpstreamTask | None = None
    progress: float = 0.0
    polls: int = 0
    misses: int = 0
    archivings: int = 0
    streamed: bool = False
    media: tuple[Media, ...] = ()
    usage: Usage | None = None
    text: str = ""
    finished: float = 0.0
    expires: float = 0.0
    error_code: str = ""
    error_message: str = ""

    @property
    def thread(self) -> Thread | None:
        """The provider's conversation as far as it is known."""
        found = self.upstream_task.thread if self.upstream_task else None
        return found or self.prepared.thread

    def step(self, state: State, now: float, **changes: Any) -> "Task":
        """Return the task one step on; raises `ValueError` for a step that does not exist."""
        if state is not self.state and state not in _NEXT.get(self.state, frozenset()):
            raise ValueError(f"a task cannot go from {self.state.value} to {state.value}")
        progress = max(self.progress, changes.pop("progress", 0.0))
        return msgspec.structs.replace(self, state=state, updated=now, progress=progress, **changes)

    def fail(self, error: GatewayError, now: float, state: State = State.FAILED) -> "Task":
        """Return the task ended by an error."""
        return self.step(state, now, finished=now, error_code=error.code, error_message=error.message)

    def view(self) -> TaskView:
        """Return what the owner may see."""
        return TaskView(
            id=self.id,
            status=_STATUS[self.state],
            chat_type=self.request.chat_type,
            model=self.request.model,
            created=self.created,
            updated=self.updated,
            finished=self.finished,
            expires=self.expires,
            progress=1.0 if self.state is State.COMPLETED else self.progress,
            prompt=self.request.prompt,
            size=self.request.size,
            seconds=self.request.seconds,
            media=self.media,
            usage=self.usage,
            text=self.text,
            chat_id=self.chat_id,
            source_id=_source(self.request),
            error_code=self.error_code,
            error_message=self.error_message,
        )


def _source(request: GenerationRequest) -> str:
    """Return the task that this one goes on from: it is named instead of its chat."""
    wanted = request.continuation
    return wanted.parent_id if wanted and not wanted.chat_id else ""


decode_task = msgspec.json.Decoder(Task).decode
