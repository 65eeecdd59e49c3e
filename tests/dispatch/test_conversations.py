"""Chats that clients go on with: owners, branches, turns at once, failures in the middle."""

import asyncio
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from gateway.accounts.account import Account
from gateway.dispatch.conversations import Conversation, Conversations
from gateway.dispatch.dispatcher import Generation
from gateway.generation.errors import (
    AmbiguousSubmit,
    AnswerCut,
    EmptyAnswer,
    InvalidRequest,
    ModelNotFound,
    NotFound,
    RateLimited,
    TaskFailed,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
    UpstreamUnreachable,
)
from gateway.generation.events import Finish, Media, Progress, TaskAccepted, TextDelta, Thread, ToolCallDelta
from gateway.generation.requests import Continuation, Delivery, GenerationRequest, Message, TextPart, ToolCall
from gateway.plugin_api.protocols import Prepared, UpstreamTask
from gateway.state.store import StoreUnavailable
from tests.dispatch.scripted import House, Script, Tasking, Upstream, ask, house

pytestmark = pytest.mark.anyio


def says(text: str) -> tuple[TextDelta, Finish]:
    return TextDelta(text), Finish()


def heard(upstream: Upstream) -> list[str]:
    """Return what the last call was told, as "role: text"."""
    return [f"{message.role}: {message.text}" for message in upstream.calls[-1][1].messages]


def with_system(system: str, text: str, chat_id: str) -> GenerationRequest:
    messages = (Message("system", (TextPart(system),)), Message("user", (TextPart(text),)))
    return GenerationRequest(
        chat_type="t2t", model="m", messages=messages, continuation=Continuation(chat_id)
    )


async def test_history_goes_along_where_the_provider_keeps_none(tmp_path):
    upstream = Upstream(says("one"), says("two"), says("three"))
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("first")
        await home.chat("second", chat_id)
        assert heard(upstream) == ["user: first", "assistant: one", "user: second"]


async def test_a_branch_leaves_the_other_branch_as_it_was(tmp_path):
    upstream = Upstream(says("1"), says("2"), says("3"), says("4"))
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, root = await home.chat("a")
        _, left = await home.chat("left", chat_id, root)
        _, _ = await home.chat("right", chat_id, root)
        await home.chat("and?", chat_id, left)
        assert heard(upstream) == ["user: a", "assistant: 1", "user: left", "assistant: 2", "user: and?"]


async def test_two_turns_at_once_are_both_remembered(tmp_path):
    upstream = Upstream(says("1"), (TextDelta("slow"), 0.05, Finish()), says("fast"), says("4"), says("5"))
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, root = await home.chat("a")
        (_, slow), (_, fast) = await asyncio.gather(
            home.chat("x", chat_id, root), home.chat("y", chat_id, root)
        )
        await home.chat("then", chat_id, slow)
        assert heard(upstream)[2:] == ["user: x", "assistant: slow", "user: then"]
        await home.chat("then", chat_id, fast)
        assert heard(upstream)[2:] == ["user: y", "assistant: fast", "user: then"]


async def test_a_system_text_is_said_once_and_may_change(tmp_path):
    upstream = Upstream(says("1"))
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        await home.events(with_system("Be brief.", "b", chat_id))
        await home.events(with_system("Be long.", "c", chat_id))
        assert heard(upstream)[0] == "system: Be long."
        assert sum(line.startswith("system") for line in heard(upstream)) == 1
        await home.chat("d", chat_id)
        assert heard(upstream)[0] == "system: Be long."


async def test_tool_calls_are_remembered(tmp_path):
    call = ToolCallDelta(0, id="c1", name="look", arguments='{"a":1}')
    upstream = Upstream((call, Finish("tool_calls")), says("done"))
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        await home.chat("b", chat_id)
        assert upstream.calls[-1][1].messages[1].tool_calls == (ToolCall("c1", "look", '{"a":1}'),)


async def test_a_bound_chat_stays_with_its_account_and_repeats_nothing(tmp_path):
    upstream = Upstream(
        (Thread("theirs"), TextDelta("x"), Thread("theirs", "r1"), Finish()), accounts=["one", "two", "three"]
    )
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        for _ in range(4):
            await home.chat("b", chat_id)
        assert len({account for account, _, _ in upstream.calls}) == 1
        assert upstream.calls[-1][2] == Thread("theirs", "r1")
        assert heard(upstream) == ["user: b"]


async def test_an_earlier_turn_of_a_bound_chat_is_gone_on_from(tmp_path):
    scripts = [(Thread("theirs", f"r{n}"), TextDelta("x"), Finish()) for n in range(3)]
    upstream = Upstream(*scripts)
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, first = await home.chat("a")
        await home.chat("b", chat_id)
        await home.chat("c", chat_id, first)
        assert upstream.calls[-1][2] == Thread("theirs", "r0")


async def test_a_limited_account_does_not_pass_its_chat_on(tmp_path):
    upstream = Upstream(
        (Thread("theirs"), TextDelta("x"), Finish()),
        (RateLimited("later", retry_after=3600),),
        accounts=["one", "two"],
    )
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        _, error = await home.failure(ask("b", continuation=Continuation(chat_id)))
        assert error.status == 429
        assert len(upstream.calls) == 2


@pytest.mark.parametrize("stream", [True, False])
async def test_a_failed_turn_changes_nothing(tmp_path, stream):
    cut = (Thread("theirs", "broken"), TextDelta("ha"), AnswerCut("cut", sent=True))
    whole = (Thread("theirs", "good"), TextDelta("x"), Finish())
    upstream = Upstream(whole, cut, whole)
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        delivery = Delivery(stream=stream)
        await home.failure(ask("b", continuation=Continuation(chat_id), delivery=delivery))
        await home.chat("c", chat_id)
        assert upstream.calls[-1][2] == Thread("theirs", "good")


async def test_a_streaming_caller_who_leaves_finds_the_chat_again(tmp_path):
    upstream = Upstream((Thread("theirs", "p"), TextDelta("x"), 60.0), (TextDelta("y"), Finish()))
    async with house(tmp_path, {"a": upstream}) as home:
        request = ask("a", continuation=Continuation(), delivery=Delivery(stream=True))
        generation = await home.open(request)
        async with aclosing(generation.events()) as events:
            await anext(events)
        await home.chat("b", generation.reply.chat_id)
        assert upstream.calls[-1][2] == Thread("theirs", "p")


async def test_anothers_chat_is_like_none(tmp_path):
    async with house(tmp_path, {"a": Upstream()}) as home:
        chat_id, _ = await home.chat("a")
        told = []
        for owner, wanted in [
            ("mallory", chat_id),
            ("alice", "0" * 32),
            ("alice", "../x"),
            ("alice", "\x00"),
        ]:
            with pytest.raises(NotFound) as caught:
                await home.open(ask("b", continuation=Continuation(wanted)), owner=owner)
            told.append((caught.value.message, caught.value.code, caught.value.param))
        assert len(set(told)) == 1


async def test_an_unknown_parent_is_refused(tmp_path):
    async with house(tmp_path, {"a": Upstream()}) as home:
        chat_id, _ = await home.chat("a")
        with pytest.raises(InvalidRequest) as caught:
            await home.open(ask("b", continuation=Continuation(chat_id, "nobody")))
        assert caught.value.param == "parentId"


async def test_a_chat_made_beforehand_lends_its_model_and_chat_type(tmp_path):
    upstream = Upstream(models=["m", "n"])
    async with house(tmp_path, {"a": upstream}) as home:
        begun = GenerationRequest(chat_type="t2t", messages=(), model="n", extra={"name": "Trip"})
        chat = await home.dispatcher.begin_chat(begun, "alice")
        assert chat.name == "Trip"
        said = (Message("user", (TextPart("hi"),)),)
        await home.events(GenerationRequest(chat_type="", messages=said, continuation=Continuation(chat.id)))
        assert upstream.calls[-1][1].model == "n"
        assert upstream.calls[-1][1].chat_type == "t2t"


@pytest.mark.parametrize(
    ("fields", "error"), [({"chat_type": "t2x"}, InvalidRequest), ({"model": "nobody"}, ModelNotFound)]
)
async def test_a_chat_cannot_begin_with_what_is_not_there(tmp_path, fields, error):
    async with house(tmp_path, {"a": Upstream()}) as home:
        with pytest.raises(error):
            await home.dispatcher.begin_chat(
                GenerationRequest(**({"chat_type": "t2t", "messages": (), "model": "m"} | fields)), "alice"
            )


async def test_a_chat_goes_to_no_upstream_but_its_own(tmp_path):
    talker = Upstream((Thread("theirs"), TextDelta("x"), Finish()), chat_types=["t2t"])
    filmer = Tasking(chat_types=["t2v"])
    async with house(tmp_path, {"talker": talker, "filmer": filmer}) as home:
        chat_id, _ = await home.chat("a")
        with pytest.raises(InvalidRequest):
            await home.events(ask("film it", "t2v", continuation=Continuation(chat_id)))
        assert not filmer.calls


async def test_a_task_is_a_turn_and_names_its_chat(tmp_path):
    upstream = Tasking()
    async with house(tmp_path, {"a": upstream}) as home:
        generation = await home.open(ask("film", "t2v", continuation=Continuation()))
        async with aclosing(generation.events()) as events:
            task_id = next(event.task_id for event in [e async for e in events] if hasattr(event, "task_id"))
        chat_id = generation.reply.chat_id
        for continuation in (Continuation(chat_id, task_id), Continuation("", task_id)):
            again = await home.open(ask("more", "t2v", continuation=continuation))
            assert again.reply.chat_id == chat_id
        with pytest.raises(NotFound):
            await home.open(ask("x", "t2v", continuation=Continuation("", task_id)), owner="mallory")


async def test_text_goes_on_while_the_store_is_away(tmp_path, monkeypatch):
    async with house(tmp_path, {"a": Upstream()}) as home:

        async def away(*args: object, **options: object) -> None:
            raise StoreUnavailable("disk full")

        monkeypatch.setattr(home.store, "put", away)
        assert (await home.events(ask("hi", continuation=Continuation())))[-1] == Finish()


@pytest.fixture
def freeze(monkeypatch):
    """A way to take a store away, which returns the way to bring it back."""

    def frozen(home: House):
        async def away(*args: object, **options: object) -> None:
            raise StoreUnavailable("frozen")

        for name in ("get", "put"):
            monkeypatch.setattr(home.store, name, away)
        return monkeypatch.undo

    monkeypatch.setattr("gateway.dispatch.backlog._PAUSE_SECONDS", 0.01)
    return frozen


async def stored(home: House, chat_id: str) -> Conversation:
    """Return what another process reads, as soon as it is there."""
    end = time.monotonic() + 5
    while time.monotonic() < end:
        try:
            return await Conversations(home.store).get("alice", chat_id)
        except NotFound:
            await asyncio.sleep(0.01)
    raise AssertionError("it is not there")


async def test_a_chat_that_begins_while_the_store_is_away_is_gone_on_with(tmp_path, freeze):
    upstream = Upstream(says("one"), says("two"), says("three"))
    async with house(tmp_path, {"a": upstream}) as home:
        thaw = freeze(home)
        chat_id, _ = await home.chat("first")
        await home.chat("second", chat_id)
        assert heard(upstream) == ["user: first", "assistant: one", "user: second"]
        thaw()
        assert len((await stored(home, chat_id)).turns) == 2
        await home.chat("third", chat_id)
        assert len(heard(upstream)) == 5


async def test_a_chat_that_is_only_begun_needs_the_store(tmp_path, freeze):
    async with house(tmp_path, {"a": Upstream()}) as home:
        freeze(home)
        begun = GenerationRequest(chat_type="t2t", messages=(), model="m")
        with pytest.raises(StoreUnavailable):
            await home.dispatcher.begin_chat(begun, "alice")


async def test_turns_of_a_chat_that_others_went_on_with_meanwhile_are_all_kept(tmp_path, freeze):
    upstream = Upstream(says("one"), says("two"), says("three"), says("four"))
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, root = await home.chat("first")
        going_on = await home.open(ask("here", continuation=Continuation(chat_id)))
        thaw = freeze(home)
        async with aclosing(going_on.events()) as events:
            async for _ in events:
                pass
        thaw()
        _, there = await home.chat("there", chat_id, root)
        async with asyncio.timeout(5):
            while going_on.reply.id not in (await stored(home, chat_id)).turns:
                await asyncio.sleep(0.01)
        assert set((await stored(home, chat_id)).turns) == {root, there, going_on.reply.id}


async def test_anothers_chat_is_like_none_while_the_store_is_away(tmp_path, freeze):
    async with house(tmp_path, {"a": Upstream()}) as home:
        freeze(home)
        chat_id, _ = await home.chat("a")
        for wanted in (chat_id, "0" * 32):
            with pytest.raises(StoreUnavailable):
                await home.open(ask("b", continuation=Continuation(wanted)), owner="mallory")


async def test_what_waits_for_the_store_is_written_when_the_process_ends(tmp_path, freeze, monkeypatch):
    async with house(tmp_path, {"a": Upstream()}) as home:
        thaw = freeze(home)
        monkeypatch.setattr("gateway.dispatch.backlog._PAUSE_SECONDS", 60)
        chat_id, _ = await home.chat("a")
        await asyncio.sleep(0.05)
        thaw()
        await home.conversations.aclose()
        assert (await Conversations(home.store).get("alice", chat_id)).id == chat_id


BACKGROUND = Delivery(background=True)


async def begin(home: House, request: GenerationRequest) -> Generation:
    """Send a request for the background; return it when it has become a task."""
    generation = await home.open(request)
    async with aclosing(generation.events()) as events:
        async for event in events:
            if isinstance(event, TaskAccepted):
                break
    return generation


async def ended(home: House, generation: Generation) -> None:
    async with aclosing(home.tasks.follow(generation.reply.id)) as events:
        async for _ in events:
            pass


PICTURE = Media("image", "https://media.example/cat.png")


async def test_a_chat_goes_on_from_a_picture_that_was_made_in_the_background(tmp_path):
    upstream = Upstream(
        (Thread("theirs", "p1"), TextDelta("x"), Finish()),
        (Thread("theirs", "p2"), Progress(0.1), 0.05, PICTURE, Thread("theirs", "p3"), Finish()),
        says("y"),
    )
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, first = await home.chat("a")
        drawing = await begin(home, ask("b", "t2i", continuation=Continuation(chat_id), delivery=BACKGROUND))
        await ended(home, drawing)
        await home.chat("c", chat_id)
        assert upstream.calls[-1][2] == Thread("theirs", "p3")
        await home.chat("c", chat_id, drawing.reply.id)
        assert upstream.calls[-1][2] == Thread("theirs", "p3")
        await home.chat("c", chat_id, first)
        assert upstream.calls[-1][2] == Thread("theirs", "p1")


async def test_a_chat_that_begins_with_a_picture_in_the_background_is_gone_on_with(tmp_path):
    upstream = Upstream((Thread("theirs"), PICTURE, Thread("theirs", "p1"), Finish()), says("y"))
    async with house(tmp_path, {"a": upstream}) as home:
        drawing = await begin(home, ask("a", "t2i", continuation=Continuation(), delivery=BACKGROUND))
        await ended(home, drawing)
        await home.chat("b", drawing.reply.chat_id)
        assert upstream.calls[-1][2] == Thread("theirs", "p1")
        assert heard(upstream) == ["user: b"]


async def test_what_was_said_in_the_background_is_remembered_once(tmp_path):
    upstream = Upstream((TextDelta("on"), 0.05, TextDelta("e"), Finish()), says("two"), says("three"))
    async with house(tmp_path, {"a": upstream}) as home:
        answer = await begin(home, ask("first", continuation=Continuation(), delivery=BACKGROUND))
        await ended(home, answer)
        await home.chat("second", answer.reply.chat_id)
        assert heard(upstream) == ["user: first", "assistant: one", "user: second"]


async def test_the_end_of_a_picture_moves_no_chat_back_that_has_gone_on(tmp_path):
    upstream = Upstream(
        (Thread("theirs", "p1"), TextDelta("x"), Finish()),
        (Progress(0.1), 0.1, PICTURE, Thread("theirs", "late"), Finish()),
        (Thread("theirs", "p2"), TextDelta("y"), Finish()),
        says("z"),
    )
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, first = await home.chat("a")
        drawing = await begin(home, ask("b", "t2i", continuation=Continuation(chat_id), delivery=BACKGROUND))
        await home.chat("c", chat_id, first)
        await ended(home, drawing)
        await home.chat("d", chat_id)
        assert upstream.calls[-1][2] == Thread("theirs", "p2")


async def test_a_picture_that_fails_in_the_background_leaves_its_chat_where_it_was(tmp_path):
    upstream = Upstream(
        (Thread("theirs", "p1"), TextDelta("x"), Finish()),
        (Progress(0.1), 0.05, Thread("theirs", "broken"), AnswerCut("cut", sent=True)),
        says("y"),
    )
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        drawing = await begin(home, ask("b", "t2i", continuation=Continuation(chat_id), delivery=BACKGROUND))
        with pytest.raises(TaskFailed):
            await ended(home, drawing)
        await home.chat("c", chat_id)
        assert upstream.calls[-1][2] == Thread("theirs", "p1")


async def test_a_film_whose_submit_was_lost_is_a_turn_once_it_is_found(tmp_path, monkeypatch):
    upstream = Tasking((UpstreamTimeout("late", sent=True),))

    async def found(prepared: Prepared, account: Account) -> UpstreamTask:
        return UpstreamTask("their-task", thread=Thread("their-chat", "film"))

    monkeypatch.setattr(upstream, "reconcile", found)
    async with house(tmp_path, {"a": upstream}) as home:
        film = await home.open(ask("film", "t2v", continuation=Continuation()))
        async with aclosing(film.events()) as events:
            with pytest.raises(AmbiguousSubmit):
                await anext(events)
        await ended(home, film)
        again = await home.open(ask("more", "t2v", continuation=Continuation("", film.reply.id)))
        assert again.reply.chat_id == film.reply.chat_id


BOUND = (Thread("theirs", "p1"), TextDelta("x"), Finish())
FAULT = UpstreamUnavailable("5xx", sent=True)
UNSENT = UpstreamUnreachable("no connection")


async def gone_on(tmp_path: Path, chat_type: str, *scripts: Script, spent: int = 0) -> tuple[Upstream, bool]:
    """Go on with a bound chat by script; return the upstream and whether there was an answer."""
    upstream = Upstream(BOUND, *scripts, accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as home:
        chat_id, _ = await home.chat("a")
        for _ in range(spent):
            home.dispatcher.may_try_again(FAULT)
        request = ask("b", chat_type, continuation=Continuation(chat_id))
        try:
            await home.events(request)
        except UpstreamError:
            return upstream, False
        return upstream, True


@pytest.mark.parametrize("error", [FAULT, UNSENT, EmptyAnswer("nothing", sent=True)])
async def test_a_fault_in_a_bound_chat_is_tried_again_with_the_same_account_and_turn(tmp_path, error):
    upstream, answered = await gone_on(tmp_path, "t2t", (Thread("theirs", "lost"), error), says("y"))
    assert answered
    assert len({account for account, _, _ in upstream.calls}) == 1
    assert [thread for _, _, thread in upstream.calls[1:]] == [Thread("theirs", "p1")] * 2


async def test_a_fault_in_a_bound_chat_is_tried_again_once(tmp_path):
    upstream, answered = await gone_on(tmp_path, "t2t", (FAULT,))
    assert not answered
    assert len(upstream.calls) == 3


async def test_without_a_budget_no_bound_chat_is_tried_again(tmp_path):
    upstream, answered = await gone_on(tmp_path, "t2t", (FAULT,), says("y"), spent=1)
    assert not answered
    assert len(upstream.calls) == 2


@pytest.mark.parametrize(("error", "again"), [(FAULT, False), (UNSENT, True)])
async def test_a_picture_that_may_have_been_ordered_is_not_ordered_again(tmp_path, error, again):
    upstream, answered = await gone_on(tmp_path, "t2i", (error,), (PICTURE, Finish()))
    assert answered is again
    assert len(upstream.calls) == 2 + again
