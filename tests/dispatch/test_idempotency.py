"""Repeated creates over real gateways: one payment, one answer."""

import asyncio
import uuid

import httpx
import msgspec
import pytest

from gateway.dispatch.idempotency import Idempotency
from gateway.generation import requests
from gateway.generation.errors import StorageUnavailable
from gateway.generation.events import Finish, Media
from gateway.generation.results import collect
from gateway.state.store import StoreUnavailable
from tests.dispatch.scripted import Tasking, Upstream, ask, house
from tests.process import providing
from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

KEYS = """
[[auth.keys]]
name = "alice"
key = "sk-alice"
[[auth.keys]]
name = "bob"
key = "sk-bob"
"""
VIDEO = ("/v1/videos", {"model": "qwen3-max"})
PICTURE = ("/v1/images/generations", {"model": "qwen3-max"})
NATIVE_VIDEO = ("/api/chat", {"chatType": "t2v", "waitForCompletion": False})
NATIVE_PICTURE = ("/api/chat", {"chatType": "t2i"})
WAITING_VIDEO = ("/api/chat", {"chatType": "t2v"})
TEXT = ("/v1/chat/completions", {"model": "qwen3-max"})
CHANGING = {"status", "progress", "completed_at", "expires_at", "request_id"}
EVERY = pytest.mark.parametrize("create", [VIDEO, PICTURE, NATIVE_VIDEO, NATIVE_PICTURE, WAITING_VIDEO, TEXT])
PAID = pytest.mark.parametrize("create", [VIDEO, PICTURE, NATIVE_VIDEO, NATIVE_PICTURE, WAITING_VIDEO])


@pytest.fixture(scope="module")
def provider(tmp_path_factory):
    with providing(tmp_path_factory.mktemp("provider"), video_seconds=0.2) as provider:
        yield provider


class Caller:
    """Creates things at a gateway, and counts what the provider was asked for."""

    def __init__(self, url, provider):
        self._client = httpx.AsyncClient(base_url=url, timeout=30)
        self._provider = provider

    async def create(self, create, prompt, *, key="", retry=0, owner="alice", **more):
        path, body = create
        said = (
            {"messages": [{"role": "user", "content": prompt}]} if create is TEXT else _prompt(path, prompt)
        )
        headers = {"authorization": f"Bearer sk-{owner}", "x-stainless-retry-count": str(retry)}
        headers |= {"idempotency-key": key} if key else {}
        return await self._client.post(path, json=body | said | more, headers=headers)

    async def orders(self):
        """Return how many completions the provider was asked for."""
        return len(await asyncio.to_thread(self._provider.calls, "completions"))

    async def aclose(self):
        await self._client.aclose()


def _prompt(path, prompt):
    return {"message" if path == "/api/chat" else "prompt": prompt}


@pytest.fixture
async def settings(tmp_path, provider):
    return settings_in(tmp_path, provider.configured("token", more=KEYS))


@pytest.fixture
async def caller(settings, provider):
    async with serving_gateway(settings) as served:
        caller = Caller(served.url, provider)
        yield caller
        await caller.aclose()


async def until(count, wanted):
    while await count() < wanted:
        await asyncio.sleep(0.02)


@pytest.fixture
def prompt():
    return f"a lake {uuid.uuid4()}"


def essence(answer):
    """Return an answer without what differs between two looks at one task."""
    body = answer.json()
    return {name: value for name, value in body.items() if name not in CHANGING}


@EVERY
async def test_one_key_is_one_order_and_one_answer(caller, create, prompt):
    before = await caller.orders()
    first = await caller.create(create, prompt, key=prompt)
    again = await caller.create(create, prompt, key=prompt, retry=1)
    assert first.status_code == again.status_code == 200, (first.text, again.text)
    assert essence(first) == essence(again)
    assert await caller.orders() == before + 1


@pytest.mark.parametrize("create", [VIDEO, PICTURE])
async def test_fifty_at_once_are_one_order(caller, create, prompt):
    before = await caller.orders()
    answers = await asyncio.gather(*(caller.create(create, prompt, key=prompt) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(essence(answer) == essence(answers[0]) for answer in answers)
    assert await caller.orders() == before + 1


@EVERY
async def test_a_key_with_another_body_is_refused(caller, create, prompt):
    await caller.create(create, prompt, key=prompt)
    other = await caller.create(create, prompt + "!", key=prompt)
    assert other.status_code == 422
    assert "idempotency_key_reuse" in other.text


@PAID
async def test_an_sdks_retry_without_a_key_joins_its_first_try(caller, create, prompt):
    before = await caller.orders()
    first = await caller.create(create, prompt)
    again = await caller.create(create, prompt, retry=1)
    assert essence(first) == essence(again)
    assert await caller.orders() == before + 1


@pytest.mark.parametrize("create", [VIDEO, PICTURE, NATIVE_PICTURE, WAITING_VIDEO])
async def test_a_retry_joins_a_first_try_that_is_under_way(caller, provider, create, prompt):
    before = await caller.orders()
    provider.fail("slow", endpoint="completions", head_seconds=1.0)
    first = asyncio.create_task(caller.create(create, prompt))
    await until(lambda: caller.orders(), before + 1)
    again = await caller.create(create, prompt, retry=1)
    assert essence(await first) == essence(again)
    assert await caller.orders() == before + 1


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("create", [PICTURE, NATIVE_PICTURE])
async def test_a_picture_is_finished_for_the_retry_of_a_caller_that_left(
    caller, provider, create, stream, prompt
):
    before = await caller.orders()
    provider.fail("slow", endpoint="completions", head_seconds=1.0)
    first = asyncio.create_task(caller.create(create, prompt, stream=stream))
    await until(lambda: caller.orders(), before + 1)
    first.cancel()
    await asyncio.sleep(0.3)
    again = await caller.create(create, prompt, retry=1, stream=stream)
    assert again.status_code == 200
    assert await caller.orders() == before + 1


async def test_a_text_is_asked_again(caller, prompt):
    before = await caller.orders()
    answers = [await caller.create(TEXT, prompt, retry=retry) for retry in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert await caller.orders() == before + 2


@PAID
async def test_asking_twice_without_a_key_is_two_orders(caller, create, prompt):
    before = await caller.orders()
    first = await caller.create(create, prompt)
    again = await caller.create(create, prompt)
    assert first.status_code == again.status_code == 200
    assert await caller.orders() == before + 2
    assert essence(first) != essence(again)


async def test_keys_belong_to_their_owner_and_route(caller, prompt):
    before = await caller.orders()
    await caller.create(PICTURE, prompt, key=prompt)
    await caller.create(PICTURE, prompt, key=prompt, owner="bob")
    await caller.create(NATIVE_PICTURE, prompt, key=prompt)
    assert await caller.orders() == before + 3


async def test_a_refused_call_may_be_made_again_under_its_key(caller, provider, prompt):
    provider.fail("data_inspection_failed")
    refused = await caller.create(VIDEO, prompt, key=prompt)
    assert refused.status_code == 400
    assert (await caller.create(VIDEO, prompt, key=prompt)).status_code == 200


async def test_a_lost_answer_is_joined_and_not_paid_for_twice(caller, provider, prompt):
    before = await caller.orders()
    provider.fail("lost_answer", endpoint="completions")
    lost = await caller.create(VIDEO, prompt, key=prompt)
    assert lost.status_code == 502
    assert lost.headers["x-should-retry"] == "false"
    assert "create_ambiguous" in lost.text
    again = await caller.create(VIDEO, prompt, key=prompt, retry=1)
    assert again.status_code == 200
    assert await caller.orders() == before + 1


@pytest.mark.parametrize("create", [VIDEO, PICTURE])
async def test_a_new_process_remembers(settings, provider, create, prompt):
    answers = []
    for _ in range(2):
        async with serving_gateway(settings) as served:
            caller = Caller(served.url, provider)
            answers.append(await caller.create(create, prompt, key=prompt))
            before = await caller.orders()
            await caller.aclose()
    first, again = (essence(answer) for answer in answers)
    for answer in (first, again):
        # Only its address differs, which is where the gateway listened.
        answer.get("data", [{}])[0].pop("url", "")
    assert first == again
    assert before == await _orders(provider)


async def _orders(provider):
    return len(await asyncio.to_thread(provider.calls, "completions"))


async def test_a_picture_can_be_answered_again_with_its_bytes(caller, prompt):
    first = await caller.create(PICTURE, prompt, key=prompt, response_format="b64_json")
    again = await caller.create(PICTURE, prompt, key=prompt, response_format="b64_json")
    assert first.json()["data"][0]["b64_json"]
    assert first.json() == again.json()


async def test_a_streamed_text_is_repeated_word_for_word(caller, prompt):
    answers = [await caller.create(TEXT, prompt, key=prompt, stream=True) for _ in range(2)]
    assert _text(answers[0]) == _text(answers[1]) != ""


def _text(answer):
    frames = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    deltas = [choice["delta"] for frame in frames for choice in msgspec.json.decode(frame)["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)


async def test_pictures_in_the_background_are_a_task(caller, prompt):
    answer = await caller.create(NATIVE_PICTURE, prompt, **{"async": True, "n": 2})
    task = answer.json()
    assert task["object"] == "chat.completion.task"
    headers = {"authorization": "Bearer sk-alice"}
    for _ in range(100):
        view = (await caller._client.get(f"/api/tasks/status/{task['task_id']}", headers=headers)).json()
        if view["status"] == "completed":
            break
        await asyncio.sleep(0.05)
    assert len(view["content"].splitlines()) == 2


@pytest.fixture
async def away(tmp_path, monkeypatch):
    """A way to enter generations whose store does not answer; makes their ids known."""
    async with house(
        tmp_path, {"a": Upstream(chat_types=["t2t", "t2i"]), "films": Tasking(chat_types=["t2v"])}
    ) as home:

        async def frozen(*args, **options):
            raise StoreUnavailable("frozen")

        once = Idempotency(home.store, home.tasks, home.dispatcher._archive)
        monkeypatch.setattr(home.store, "get", frozen)

        async def enter(chat_type, **said):
            generation = await home.open(ask("hi", chat_type))
            answer = await once.enter("/", requests.Caller(owner="alice", request_id="r", **said), generation)
            assert answer is generation

        yield enter


@pytest.mark.parametrize(("chat_type", "retry"), [("t2t", 0), ("t2t", 1), ("t2i", 0)])
async def test_what_costs_little_or_repeats_nothing_needs_no_store(away, chat_type, retry):
    await away(chat_type, retry=retry)


@pytest.mark.parametrize(
    ("chat_type", "said"),
    [
        ("t2i", {"retry": 1}),
        ("t2i", {"idempotency_key": "k"}),
        ("t2v", {}),
        ("t2t", {"idempotency_key": "k"}),
    ],
)
async def test_what_may_have_been_paid_for_waits_for_the_store(away, chat_type, said):
    with pytest.raises(StoreUnavailable):
        await away(chat_type, **said)


async def test_a_picture_that_cannot_be_remembered_is_answered_all_the_same(tmp_path, monkeypatch):
    picture = Media("image", data=b"picture", media_type="image/png")
    async with house(tmp_path, {"a": Upstream((picture, Finish()))}) as home:

        async def full(*args, **options):
            raise StorageUnavailable("disk full")

        monkeypatch.setattr(home.dispatcher._archive, "keep", full)
        once = Idempotency(home.store, home.tasks, home.dispatcher._archive)
        caller = requests.Caller(owner="alice", request_id="r")
        generation = await home.open(ask("hi", "t2i", delivery=requests.Delivery(inline_media=True)))
        answer = await once.enter("/", caller, generation)
        assert (await collect(answer.events())).media == (picture,)
