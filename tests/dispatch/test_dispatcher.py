"""One request over scripted providers: failover, budgets, what is kept, what is counted."""

import asyncio
from contextlib import aclosing

import pytest

from gateway.generation.errors import (
    AccountRejected,
    AllAccountsLimited,
    AmbiguousSubmit,
    AnswerCut,
    InvalidRequest,
    ModelNotFound,
    RateLimited,
    ResultUnkept,
    StorageUnavailable,
    UpstreamUnavailable,
)
from gateway.generation.events import Finish, Media, TaskAccepted, TextDelta, Thread, Usage
from gateway.generation.requests import Delivery
from gateway.media.archive import Archive
from gateway.telemetry.observation import Observation
from tests.dispatch.scripted import Tasking, Upstream, ask, house

pytestmark = pytest.mark.anyio

PICTURE = Media("image", "https://media.example/a.png")
DRAWN = (PICTURE, Usage(media=1), Finish())


def limited() -> RateLimited:
    return RateLimited("come back later", retry_after=3600)


async def test_an_answer_passes_unchanged(tmp_path):
    async with house(tmp_path, {"a": Upstream()}) as open_house:
        assert await open_house.events(ask()) == [TextDelta("hello"), Finish()]


@pytest.mark.parametrize("chat_type", ["t2s", "", "T2T", "../t2t", "\x00"])
async def test_an_unknown_chat_type_lists_the_installed_ones(tmp_path, chat_type):
    async with house(tmp_path, {"a": Upstream()}) as open_house:
        with pytest.raises(InvalidRequest, match="t2i, t2t, t2v") as caught:
            await open_house.open(ask(chat_type=chat_type))
        assert caught.value.param == "chatType"


async def test_an_unknown_model_is_never_replaced(tmp_path):
    async with house(tmp_path, {"a": Upstream(models=["other"])}) as open_house:
        with pytest.raises(ModelNotFound):
            await open_house.open(ask())


async def test_a_refused_account_is_followed_by_the_next_one_without_a_trace(tmp_path):
    upstream = Upstream((limited(),), (TextDelta("fine"), Finish()), accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        assert await open_house.events(ask()) == [TextDelta("fine"), Finish()]
        assert {account for account, _, _ in upstream.calls} == {"one", "two"}


async def test_a_retry_repeats_the_same_request(tmp_path):
    upstream = Upstream((AccountRejected("no"),), (TextDelta("fine"), Finish()), accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        await open_house.events(ask())
        first, second = (request for _, request, _ in upstream.calls)
        assert first == second


async def test_all_limited_names_the_first_return(tmp_path):
    upstream = Upstream((limited(),), accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        seen, error = await open_house.failure(ask())
        assert (seen, len(upstream.calls)) == ([], 2)
        assert isinstance(error, AllAccountsLimited)
        assert 3500 < (error.retry_after or 0) <= 3700
        _, again = await open_house.failure(ask())
        assert isinstance(again, AllAccountsLimited)
        assert len(upstream.calls) == 2, "a limited account was called again"


@pytest.mark.parametrize("chat_type", ["t2t", "t2i", "t2v"])
async def test_usage_alone_does_not_stop_failover(tmp_path, chat_type):
    answer = {
        "t2t": (TextDelta("fine"), Finish()),
        "t2i": DRAWN,
        "t2v": (Media("video", "https://media.example/a.mp4"), Finish()),
    }[chat_type]
    upstream = Upstream((Usage(input_tokens=3), limited()), answer, accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        events = await open_house.events(ask(chat_type=chat_type))
        assert events == list(answer), "the refused account's usage was passed on"


@pytest.mark.parametrize("chat_type", ["t2t", "t2i"])
async def test_usage_that_comes_first_still_arrives(tmp_path, chat_type):
    answer = {
        "t2t": (Usage(input_tokens=3), TextDelta("x"), Finish()),
        "t2i": (Usage(media=1), PICTURE, Finish()),
    }
    async with house(tmp_path, {"a": Upstream(answer[chat_type])}) as open_house:
        assert sorted(map(repr, await open_house.events(ask(chat_type=chat_type)))) == sorted(
            map(repr, answer[chat_type])
        )


async def test_nothing_is_retried_after_the_first_event(tmp_path):
    upstream = Upstream((TextDelta("half"), limited()), accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        seen, error = await open_house.failure(ask())
        assert (seen, len(upstream.calls)) == ([TextDelta("half")], 1)
        assert isinstance(error, RateLimited)


async def test_a_failing_provider_is_not_amplified(tmp_path):
    upstream = Upstream((UpstreamUnavailable("down"),), accounts=["one", "two", "three"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        for _ in range(200):
            await open_house.failure(ask())
        assert len(upstream.calls) <= 200 * 1.1 + 1


async def test_a_refusal_of_the_request_is_not_tried_elsewhere(tmp_path):
    upstream = Upstream((InvalidRequest("no such size"),), accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        await open_house.failure(ask())
        assert len(upstream.calls) == 1


@pytest.mark.parametrize("error", [limited(), UpstreamUnavailable("down")])
async def test_failover_goes_from_a_streaming_tier_to_a_task_tier(tmp_path, error):
    stream, task = Upstream((error,)), Tasking()
    routes = {"t2v": ("stream", "task")}
    async with house(tmp_path, {"stream": stream, "task": task}, routes) as open_house:
        kinds = [type(event) for event in await open_house.events(ask(chat_type="t2v"))]
        assert (len(stream.calls), len(task.calls)) == (1, 1)
        assert kinds[0] is TaskAccepted
        assert kinds[-1] is Finish


@pytest.mark.parametrize("error", [limited(), UpstreamUnavailable("down")])
async def test_failover_goes_from_a_task_tier_to_a_streaming_tier(tmp_path, error):
    film = (Media("video", "https://media.example/a.mp4"), Finish())
    task, stream = Tasking((error,)), Upstream(film)
    routes = {"t2v": ("task", "stream")}
    async with house(tmp_path, {"stream": stream, "task": task}, routes) as open_house:
        assert await open_house.events(ask(chat_type="t2v")) == list(film)


async def test_an_ambiguous_submit_never_fails_over(tmp_path):
    task = Tasking((AnswerCut("lost", sent=True),), accounts=["one", "two"])
    async with house(tmp_path, {"a": task}) as open_house:
        _, error = await open_house.failure(ask(chat_type="t2v"))
        assert isinstance(error, AmbiguousSubmit)
        assert error.task_id
        assert len(task.calls) == 1


async def test_a_caller_who_leaves_closes_everything_below(tmp_path):
    upstream = Upstream((TextDelta("a"), 60.0, Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        generation = await open_house.open(ask())

        async def read() -> None:
            async with aclosing(generation.events()) as events:
                async for _ in events:
                    pass

        work = asyncio.create_task(read())
        async with asyncio.timeout(5):
            while not upstream.open:
                await asyncio.sleep(0.001)
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        assert upstream.open == 0
        assert all(line.in_flight == 0 for line in open_house.pool.status())


async def test_what_happened_is_observed(tmp_path):
    answer = (TextDelta("x"), Usage(input_tokens=5, output_tokens=7), Finish("length"))
    upstream = Upstream((limited(),), answer, accounts=["one", "two"], ignored=["sampling.seed"])
    observed = Observation("r1")
    async with house(tmp_path, {"a": upstream}) as open_house:
        generation = await open_house.open(ask(), observed=observed)
        async with aclosing(generation.events()) as events:
            async for _ in events:
                pass
    assert generation.ignored == ("sampling.seed",)
    assert (observed.upstream, observed.attempts, observed.finish_reason) == ("a", 2, "length")
    assert (observed.tokens_in, observed.tokens_out) == (5, 7)
    assert (observed.chat_type, observed.model) == ("t2t", "m")
    assert observed.first_event is not None


async def test_media_of_a_provider_that_only_we_reach_is_archived(tmp_path):
    upstream = Upstream((Media("image", data=b"\x89PNG", media_type="image/png"), Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        media, _ = await open_house.events(ask(chat_type="t2i"))
        assert isinstance(media, Media)
        assert media.url.startswith("/media/")
        assert not media.data


async def test_a_chat_that_a_provider_made_before_it_refused_binds_nobody(tmp_path):
    upstream = Upstream(
        (Thread("first-chat"), limited()),
        (Thread("second-chat"), TextDelta("fine"), Finish()),
        accounts=["one", "two"],
    )
    async with house(tmp_path, {"a": upstream}) as open_house:
        chat_id, _ = await open_house.chat("hi")
        await open_house.chat("and then?", chat_id)
    (_, _, first), (second_account, _, second), (third_account, _, third) = upstream.calls
    assert (first, second) == (None, None), "an account was given another account's chat"
    assert (third_account, third) == (second_account, Thread("second-chat"))


async def test_what_was_paid_for_and_cannot_be_kept_is_not_to_be_asked_for_again(tmp_path, monkeypatch):
    async def full(*_: object) -> None:
        raise StorageUnavailable("no room")

    monkeypatch.setattr(Archive, "keep", full)
    upstream = Upstream((Media("image", data=b"\x89PNG", media_type="image/png"), Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        passed, error = await open_house.failure(ask(chat_type="t2i"))
    assert (type(error), error.code, error.client_may_retry) == (ResultUnkept, "storage_unavailable", False)
    assert passed == []
    assert len(upstream.calls) == 1


async def test_what_was_made_after_a_failover_and_cannot_be_kept_is_not_asked_for_again(
    tmp_path, monkeypatch
):
    async def full(*_: object) -> None:
        raise StorageUnavailable("no room")

    monkeypatch.setattr(Archive, "keep", full)
    upstream = Upstream((UpstreamUnavailable("down"),), DRAWN, accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        _, error = await open_house.failure(ask(chat_type="t2i"))
    assert isinstance(error, ResultUnkept), "the first account's refusal hid what was paid for"
    assert len(upstream.calls) == 2


BYTES = Media("image", data=b"\x89PNG", media_type="image/png")


class SlowArchive:
    """Takes its time over the first medium."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        keep = Archive.keep

        async def slowly(archive: Archive, media: Media) -> Media:
            self.begun.set()
            await self.may_end.wait()
            return await keep(archive, media)

        monkeypatch.setattr(Archive, "keep", slowly)


@pytest.mark.parametrize("delivery", [Delivery(), Delivery(stream=True)])
async def test_an_account_is_free_while_a_picture_is_archived(tmp_path, monkeypatch, delivery):
    archive = SlowArchive(monkeypatch)
    upstream = Upstream((BYTES, Usage(media=1), Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        drawing = asyncio.create_task(open_house.events(ask(chat_type="t2i", delivery=delivery)))
        await archive.begun.wait()
        assert upstream.open == 0
        assert sum(status.in_flight for status in open_house.pool.status()) == 0
        archive.may_end.set()
        media, usage, finish = await drawing
    assert (media.url.startswith("/media/"), usage, finish) == (True, Usage(media=1), Finish())


async def test_a_picture_that_is_read_into_the_answer_waits_for_its_account_too(tmp_path):
    upstream = Upstream((PICTURE, 0.05, Usage(media=1), Finish()))
    request = ask(chat_type="t2i", delivery=Delivery(stream=True, inline_media=True))
    async with house(tmp_path, {"a": upstream}) as open_house:
        generation = await open_house.open(request)
        async with aclosing(generation.events()) as events:
            assert await anext(events) == PICTURE
            assert upstream.open == 0


async def test_a_picture_that_stays_where_it_is_is_shown_at_once(tmp_path):
    upstream = Upstream((PICTURE, 60.0, Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        generation = await open_house.open(ask(chat_type="t2i"))
        async with aclosing(generation.events()) as events:
            assert await anext(events) == PICTURE


async def test_a_picture_before_a_cut_is_passed_on_and_not_made_again(tmp_path):
    upstream = Upstream((BYTES, AnswerCut("cut", sent=True)), accounts=["one", "two"])
    async with house(tmp_path, {"a": upstream}) as open_house:
        passed, error = await open_house.failure(ask(chat_type="t2i"))
    assert [type(event) for event in passed] == [Media]
    assert isinstance(error, AnswerCut)
    assert len(upstream.calls) == 1


async def test_a_text_with_a_picture_in_it_is_not_held_up(tmp_path):
    upstream = Upstream((BYTES, TextDelta("look"), 60.0, Finish()))
    async with house(tmp_path, {"a": upstream}) as open_house:
        generation = await open_house.open(ask())
        async with aclosing(generation.events()) as events:
            assert [type(await anext(events)) for _ in range(2)] == [Media, TextDelta]
