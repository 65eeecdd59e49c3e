"""Runs one request: resolve, lease, pass events on, fail over, keep what must outlive it."""

import os
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Final

import msgspec

from gateway.dispatch.catalogue import Catalogue
from gateway.dispatch.conversations import Conversation, Conversations
from gateway.dispatch.dialogue import Dialogue
from gateway.dispatch.retries import RetryBudget
from gateway.dispatch.run import DispatchRun, Lending
from gateway.dispatch.whole_media import whole_media
from gateway.generation.errors import (
    AccountRejected,
    Advice,
    BurstLimited,
    GatewayError,
    GatewayUnavailable,
    InvalidRequest,
    RateLimited,
    ResultUnkept,
    StorageUnavailable,
)
from gateway.generation.events import (
    AnyEvent,
    Finish,
    Media,
    TaskAccepted,
    Thread,
    Usage,
)
from gateway.generation.requests import Caller, Continuation, GenerationRequest, Message
from gateway.generation.results import Reply
from gateway.media.archive import Archive
from gateway.plugin_api.protocols import CostlyGenerator, Generator, Mode
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
    ) -> None:
        self._generators = generators
        self._costly = {name for name, one in generators.items() if isinstance(one, CostlyGenerator)}
        self._lending = lending
        self._catalogue = catalogue
        self._conversations = conversations
        self._archive = archive
        self._budget = RetryBudget()

    async def open(self, request: GenerationRequest, caller: Caller, observed: Observation) -> "Generation":
        """Check a request as far as that needs no provider and get its generation ready; nothing is sent yet.

        Raises:
            RequestError: an unknown chat type or model, a chat that is not the caller's.
        """
        dialogue: Dialogue | None = None
        if request.continuation is not None:
            dialogue = await self._go_on(request.continuation, request.messages, caller.owner)
            request = _completed(request, dialogue.conversation)
        chat_type = request.chat_type
        generator = self._generator(chat_type)
        observed.chat_type = chat_type
        offer = await self._catalogue.offer(request.model, chat_type)
        observed.model = offer.listed
        reply = _reply(request, offer.model, caller, dialogue)
        run = DispatchRun(self._lending, generator, caller, observed, reply.id, dialogue, offer.upstreams)
        self._budget.earn()
        resolved = _resolved(request, offer.model)
        costly = chat_type in self._costly
        return Generation(self, generator, resolved, reply, run, observed, dialogue, costly=costly)

    async def begin_chat(self, request: GenerationRequest, owner: str) -> Conversation:
        """Store a conversation before its first turn; the request names its chat type and model.

        Raises:
            RequestError: an unknown chat type or model.
        """
        self._generator(request.chat_type)
        await self._catalogue.offer(request.model, request.chat_type)
        conversation = self._conversations.begin(
            owner, name=request.extra.get("name", ""), model=request.model, chat_type=request.chat_type
        )
        await self._conversations.create(conversation)
        return conversation

    def must_keep(self, media: Media) -> bool:
        """Whether a medium will be archived."""
        return self._archive.keeps(media)

    async def keep_media(self, media: Media) -> Media:
        """Archive a medium that clients could not fetch themselves.

        Raises:
            ResultUnkept: it cannot be kept, and a client that asks again would pay again.
        """
        try:
            return await self._archive.keep(media)
        except StorageUnavailable as error:
            raise ResultUnkept("what was made cannot be kept now") from error

    def may_try_again(self, error: GatewayError) -> bool:
        """Say whether an error before the first event allows another attempt."""
        if error.advice is Advice.BUDGETED and not self._budget.spend():
            return False
        return error.advice is not Advice.NEVER

    def note_failover(self, chat_type: str, error: GatewayError) -> None:
        """Count a move to another account."""
        metrics = self._lending.metrics
        metrics.count(metrics.failovers, chat_type, error.outcome)

    async def _go_on(self, wanted: Continuation, asked: tuple[Message, ...], owner: str) -> Dialogue:
        """Return the conversation that a request belongs to."""
        chat_id = wanted.chat_id
        if wanted.parent_id and not chat_id:
            # A task's id alone names its chat as well.
            chat_id = (await self._lending.tasks.get(owner, wanted.parent_id)).chat_id
        if not chat_id:
            return Dialogue(self._conversations, self._conversations.begin(owner), "", asked)
        conversation = await self._conversations.get(owner, chat_id)
        return Dialogue(self._conversations, conversation, conversation.find_turn(wanted.parent_id), asked)

    def _generator(self, chat_type: str) -> Generator:
        found = self._generators.get(chat_type)
        if found is None:
            installed = ", ".join(sorted(self._generators))
            raise InvalidRequest(f"unknown chatType; installed are {installed}", param="chatType")
        return found


class Generation:
    """One request under way; `events()` may be iterated once.

    `costly`: its answer costs one of few, so that the caller's own retry shall get the same.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        generator: Generator,
        request: GenerationRequest,
        reply: Reply,
        run: DispatchRun,
        observed: Observation,
        dialogue: Dialogue | None,
        *,
        costly: bool,
    ) -> None:
        self.request = request
        self.reply = reply
        self.costly = costly
        self._dispatcher = dispatcher
        self._generator = generator
        self._run = run
        self._observed = observed
        self._dialogue = dialogue
        self._listener = None if dialogue is None or dialogue.since.thread else dialogue
        self._to_keep = _KEPT if dialogue is None else _KEPT_OF_A_TURN

    @property
    def ignored(self) -> tuple[str, ...]:
        """The request's fields that the provider in use cannot honour; known after the first event."""
        return self._run.ignored

    @property
    def durable(self) -> bool:
        """Whether it becomes a task, under the reply's id; what no upstream serves becomes none."""
        try:
            return self._run.mode(self.request) is Mode.TASK
        except InvalidRequest:
            return False

    def answer_as(self, reply_id: str) -> None:
        """Answer under the id of an earlier reply, which the task gets too."""
        parent_id = reply_id if self.reply.parent_id else ""
        self.reply = msgspec.structs.replace(self.reply, id=reply_id, parent_id=parent_id)
        self._run.task_id = reply_id

    async def events(self) -> AsyncGenerator[AnyEvent, None]:
        """Yield the generation's events; the next account is tried while none has been passed on."""
        events, beginning = await self._begin()
        async with aclosing(events):
            if self._dialogue is not None:
                await self._begin_turn(self._dialogue)
            if beginning:
                self._run.note_first_event()
            for event in beginning:
                yield await self._kept(event) if type(event) in self._to_keep else self._seen(event)
            async for event in events:
                if type(event) is Thread:
                    self._run.thread = event
                else:
                    yield await self._kept(event) if type(event) in self._to_keep else self._seen(event)

    async def _begin(self) -> tuple[AsyncGenerator[AnyEvent, None], tuple[AnyEvent, ...]]:
        """Make attempts until one has an event that may be passed on; return it apart, behind earlier usage.

        Usage alone is no beginning: what an account counted before it refused is nobody's usage.
        """
        request = self._with_history()
        refused: GatewayError | None = None
        while True:
            events = self._generate(request)
            usage: tuple[AnyEvent, ...] = ()
            try:
                async for event in events:
                    if type(event) is Thread:
                        self._run.thread = event
                    elif type(event) is Usage:
                        usage = (event,)
                    else:
                        return events, (*usage, event)
            except GatewayError as error:  # The attempt has ended with it.
                if refused is not None and isinstance(error, GatewayUnavailable):
                    raise _more_telling(refused, error) from error
                if not self._may_try_again(error, refused):
                    raise
                refused = error
            else:
                return events, ()

    def _generate(self, request: GenerationRequest) -> AsyncGenerator[AnyEvent, None]:
        """Begin an attempt; an answer that is a medium gives its account back before the medium is kept."""
        events = self._generator.generate(request, self._run)
        return whole_media(events, self._must_read) if self.costly else events

    def _must_read(self, media: Media) -> bool:
        """Whether the medium itself goes through our hands."""
        return self.request.delivery.inline_media or self._dispatcher.must_keep(media)

    def _may_try_again(self, error: GatewayError, refused: GatewayError | None) -> bool:
        """Say whether there is another attempt, and get it ready.

        Where one account alone will do, a provider's fault allows it a second attempt: the same turn, which
        costs little or was surely not sent.
        """
        stays = self._run.is_bound and error.advice is Advice.BUDGETED
        if stays and (refused is not None or (error.sent and self.costly)):
            return False
        if not self._dispatcher.may_try_again(error):
            return False
        if stays:
            self._run.stay()
        else:
            self._dispatcher.note_failover(self.request.chat_type, error)
        return True

    def _seen(self, event: AnyEvent) -> AnyEvent:
        """Note an event that goes on as it is."""
        if type(event) in _NOTED:
            self._note(event)
        elif self._listener is not None:
            self._listener.hear(event)
        return event

    async def _kept(self, event: AnyEvent) -> AnyEvent:
        """Keep what must be kept before the caller sees the event."""
        self._note(event)
        if type(event) is Media and not self.request.delivery.inline_media:
            return await self._dispatcher.keep_media(event)
        if type(event) is TaskAccepted:
            await self._leave_turn(event.task_id, self.reply.id)
        elif type(event) is Finish and not self._observed.task_id:
            await self._end_turn(self.reply.id)
        return event

    def _note(self, event: AnyEvent) -> None:
        observed = self._observed
        if type(event) is Usage:
            observed.tokens_in, observed.tokens_out = event.input_tokens, event.output_tokens
            observed.video_seconds = event.seconds
        elif type(event) is Finish:
            observed.finish_reason = event.reason
        elif type(event) is TaskAccepted:
            observed.task_id = event.task_id
        elif type(event) is Media:
            observed.media += 1

    def _with_history(self) -> GenerationRequest:
        if self._dialogue is None:
            return self.request
        return msgspec.structs.replace(self.request, messages=self._dialogue.with_history())

    async def _begin_turn(self, dialogue: Dialogue) -> None:
        """Keep a new conversation before a stream shows its id: the caller may leave and come back."""
        if dialogue.conversation.turns or not self.request.delivery.stream:
            return
        if self._run.thread is None:
            await dialogue.keep()
        else:
            await dialogue.keep_turn(self._run.turn("", ()), self.reply.id)

    async def _end_turn(self, *turn_ids: str) -> None:
        dialogue = self._dialogue
        if dialogue is not None:
            turn = self._run.turn(dialogue.before, dialogue.said())
            await dialogue.keep_turn(turn, *turn_ids)

    async def _leave_turn(self, *turn_ids: str) -> None:
        """Leave the turn to the task that it has become."""
        dialogue = self._dialogue
        if dialogue is not None:
            turn = self._run.turn(dialogue.before, dialogue.asked)
            await dialogue.keep_open_turn(turn, *turn_ids)


_KEPT: Final = frozenset({Media})
_KEPT_OF_A_TURN: Final = frozenset({Media, TaskAccepted, Finish})
_NOTED: Final = frozenset({Usage, Finish, TaskAccepted, Media})


def _completed(request: GenerationRequest, conversation: Conversation) -> GenerationRequest:
    """Return the request with what its chat was begun with where it says nothing itself."""
    return msgspec.structs.replace(
        request,
        chat_type=request.chat_type or conversation.chat_type,
        model=request.model or conversation.model,
    )


def _resolved(request: GenerationRequest, model: str) -> GenerationRequest:
    """Return the request with its model's real name."""
    return request if request.model == model else msgspec.structs.replace(request, model=model)


def _reply(request: GenerationRequest, model: str, caller: Caller, dialogue: Dialogue | None) -> Reply:
    reply_id = os.urandom(16).hex()  # What `secrets` does, less three calls.
    return Reply(
        id=reply_id,
        created=int(time.time()),
        model=request.model or model,
        chat_id=dialogue.chat_id if dialogue else "",
        parent_id=reply_id if dialogue else "",
        base_url=caller.base_url,
        request_id=caller.request_id,
    )


def _more_telling(refused: GatewayError, exhausted: GatewayUnavailable) -> GatewayError:
    """Choose between the last account's refusal and the pool's word that nobody is left.

    The pool knows when the first account comes back; any other refusal says more than "nobody is left".
    """
    return exhausted if isinstance(refused, RateLimited | BurstLimited | AccountRejected) else refused
