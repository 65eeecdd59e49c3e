"""Runs one request: resolve, lease, pass events on, fail over, keep what must outlive it."""

import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import msgspec

from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.conversations import Conversation, Conversations
from gateway.dispatch.retries import RetryBudget
from gateway.dispatch.run import DispatchRun, Lending
from gateway.generation.errors import (
    AccountRejected,
    Advice,
    BurstLimited,
    GatewayError,
    GatewayUnavailable,
    InvalidRequest,
    RateLimited,
)
from gateway.generation.events import AnyEvent, Finish, Media, TaskAccepted, TextDelta, Thread, Usage
from gateway.generation.requests import Caller, GenerationRequest, Message, TextPart
from gateway.generation.results import Reply
from gateway.media.archive import Archive
from gateway.plugin_api.protocols import Generator
from gateway.telemetry.observation import Observation

__all__ = ["Dispatcher", "Generation"]


class Dispatcher:
    """The one way from a request to its events."""

    def __init__(
        self,
        generators: Mapping[str, Generator],
        lending: Lending,
        catalogue: Catalogue,
        conversations: Conversations,
        archive: Archive,
        *,
        total_seconds: float,
    ) -> None:
        self._generators = generators
        self._lending = lending
        self._catalogue = catalogue
        self._conversations = conversations
        self._archive = archive
        self._total_seconds = total_seconds
        self._budget = RetryBudget()

    async def open(self, request: GenerationRequest, caller: Caller, observed: Observation) -> "Generation":
        """Check a request as far as that needs no provider and get its generation ready; nothing is sent yet.

        Raises:
            RequestError: an unknown chat type or model, a chat that is not the caller's.
        """
        generator = self._generator(request.chat_type)
        model = self._catalogue.resolve(request.model)
        observed.chat_type, observed.model = request.chat_type, ""
        serving = await self._catalogue.serving(model, request.chat_type)
        observed.model = model
        conversation = None
        if request.continuation is not None:
            conversation = await self._conversations.resume(caller.owner, request.continuation)
        run = DispatchRun(
            self._lending,
            caller,
            observed,
            conversation=conversation,
            serving=serving,
            deadline=time.monotonic() + self._total_seconds,
        )
        reply = _reply(request, model, caller, conversation)
        self._budget.earn()
        return Generation(self, generator, _continued(request, model, conversation), reply, run, observed)

    async def keep_media(self, media: Media) -> Media:
        """Archive a medium that clients could not fetch themselves."""
        return await self._archive.keep(media)

    async def keep_conversation(self, conversation: Conversation) -> None:
        """Store a conversation."""
        await self._conversations.save(conversation)

    def may_try_again(self, error: GatewayError) -> bool:
        """Say whether an error before the first event allows another attempt."""
        if error.advice is Advice.BUDGETED and not self._budget.spend():
            return False
        return error.advice is not Advice.NEVER

    def note_failover(self, chat_type: str, error: GatewayError) -> None:
        """Count a move to another account."""
        metrics = self._lending.metrics
        metrics.count(metrics.failovers, chat_type, error.outcome)

    def _generator(self, chat_type: str) -> Generator:
        found = self._generators.get(chat_type)
        if found is None:
            installed = ", ".join(sorted(self._generators))
            raise InvalidRequest(f"unknown chatType; installed are {installed}", param="chatType")
        return found


class Generation:
    """One request under way; `events()` may be iterated once."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        generator: Generator,
        request: GenerationRequest,
        reply: Reply,
        run: DispatchRun,
        observed: Observation,
    ) -> None:
        self.request = request
        self.reply = reply
        self._dispatcher = dispatcher
        self._generator = generator
        self._run = run
        self._observed = observed
        self._turn_id = reply.id
        self._text: list[str] = []
        self._notes: dict[type, Callable[[AnyEvent], None]] = {
            Usage: self._note_usage,
            TextDelta: self._text_noter(),
        }

    @property
    def ignored(self) -> tuple[str, ...]:
        """The request's fields that the provider in use cannot honour; known after the first event."""
        return self._run.ignored

    async def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Yield the generation's events; the next account is tried while none has been passed on."""
        refused: GatewayError | None = None
        while True:
            passed = False
            try:
                async with aclosing(self._generator.generate(self.request, self._run)) as events:
                    async for event in events:
                        if type(event) is Thread:
                            await self._keep_thread(event)
                            continue
                        passed = True
                        yield await self._passing(event) if type(event) in _KEPT else self._seen(event)
                return
            except GatewayError as error:
                if refused is not None and isinstance(error, GatewayUnavailable):
                    raise _more_telling(refused, error) from error
                if passed or not self._dispatcher.may_try_again(error):
                    raise
                self._dispatcher.note_failover(self.request.chat_type, error)
                refused = error

    def _seen(self, event: AnyEvent) -> AnyEvent:
        """Note an event that goes on as it is."""
        if not self._observed.first_event:
            self._run.note_first_event()
        note = self._notes.get(type(event))
        if note is not None:
            note(event)
        return event

    async def _passing(self, event: AnyEvent) -> AnyEvent:
        """Keep what must be kept before the caller sees the event."""
        if not self._observed.first_event:
            self._run.note_first_event()
        if isinstance(event, Media):
            self._observed.media += 1
            return event if self.request.delivery.inline_media else await self._dispatcher.keep_media(event)
        if isinstance(event, TaskAccepted):
            self._turn_id = self._observed.task_id = event.task_id
            await self._end_turn()
        if isinstance(event, Finish):
            self._observed.finish_reason = event.reason
            if not self._observed.task_id:
                await self._end_turn()
        return event

    async def _keep_thread(self, thread: Thread) -> None:
        """Bind a kept conversation to its account as soon as the provider's chat exists."""
        known = self._run.conversation
        self._run.keep_thread(thread)
        kept = self._run.conversation
        if kept is not None and (known is None or known.bound != kept.bound):
            await self._dispatcher.keep_conversation(kept)

    async def _end_turn(self) -> None:
        conversation = self._run.conversation
        if conversation is None:
            return
        answer = Message("assistant", (TextPart("".join(self._text)),))
        said = self.request.messages[len(conversation.transcript) :]
        ended = conversation.with_messages(*said, answer).after_turn(self._turn_id)
        await self._dispatcher.keep_conversation(ended)

    def _note_usage(self, event: AnyEvent) -> None:
        assert isinstance(event, Usage)
        self._observed.tokens_in, self._observed.tokens_out = event.input_tokens, event.output_tokens
        self._observed.video_seconds = event.seconds

    def _text_noter(self) -> Callable[[AnyEvent], None]:
        """Gather the text only where the gateway itself must remember it."""
        conversation = self._run.conversation
        if conversation is None or conversation.thread is not None:
            return _pass_over
        return self._note_text

    def _note_text(self, event: AnyEvent) -> None:
        assert isinstance(event, TextDelta)
        self._text.append(event.text)


_KEPT = frozenset({Media, TaskAccepted, Finish})


def _pass_over(event: AnyEvent) -> None:
    """Take no note."""


def _reply(
    request: GenerationRequest, model: str, caller: Caller, conversation: Conversation | None
) -> Reply:
    reply_id = secrets.token_hex(16)
    return Reply(
        id=reply_id,
        created=int(time.time()),
        model=request.model or model,
        chat_id=conversation.id if conversation else "",
        parent_id=reply_id if conversation else "",
        base_url=caller.base_url,
        request_id=caller.request_id,
    )


def _continued(
    request: GenerationRequest, model: str, conversation: Conversation | None
) -> GenerationRequest:
    """Return the request with its model's real name and, where we keep it, the history in front."""
    history = conversation.transcript if conversation else ()
    return msgspec.structs.replace(request, model=model, messages=(*history, *request.messages))


def _more_telling(refused: GatewayError, exhausted: GatewayUnavailable) -> GatewayError:
    """Choose between the last account's refusal and the pool's word that nobody is left.

    The pool knows when the first account comes back; any other refusal says more than "nobody is left".
    """
    return exhausted if isinstance(refused, RateLimited | BurstLimited | AccountRejected) else refused
