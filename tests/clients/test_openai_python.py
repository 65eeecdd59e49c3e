"""OpenAI's Python SDK, unchanged, against the gateway as a process."""

import asyncio
import base64
import time
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.process import Provider, Running

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API:DeprecationWarning")

MODEL = "qwen3-max"
PNG = b"\x89PNG\r\n\x1a\n"
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture
def client(keyed: Running) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{keyed.url}/v1", api_key="sk-alice", max_retries=0, timeout=20) as client:
        yield client


def said(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


# ------------------------------------------------------------------ chat


def test_a_chat(client: OpenAI) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=said("Say 'good morning'"))
    assert answer.choices[0].message.content == "good morning"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer._request_id


def test_a_chat_with_its_history(client: OpenAI) -> None:
    history: list[Any] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "text", "text": "What is my name?"}]},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=history)
    assert answer.choices[0].message.content == "Your name is Ada."


def test_a_stream(client: OpenAI) -> None:
    with client.chat.completions.create(
        model=MODEL, messages=said("Count to 20"), stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == ", ".join(
        str(number) for number in range(1, 21)
    )
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1] if chunk.choices[0].finish_reason] == [
        "stop"
    ]
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1


def test_a_stream_without_usage_has_a_choice_in_every_chunk(client: OpenAI) -> None:
    with client.chat.completions.create(model=MODEL, messages=said("Ping"), stream=True) as stream:
        assert all(chunk.choices and chunk.usage is None for chunk in stream)


def test_the_sdks_own_accumulator(client: OpenAI) -> None:
    with client.chat.completions.stream(model=MODEL, messages=said("Say 'one two three'")) as stream:
        stream.until_done()
        assert stream.get_final_completion().choices[0].message.content == "one two three"


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_used(client: OpenAI, stream: bool) -> None:
    question = said("What is the weather in Paris?")
    call = _call_in_stream(client, question) if stream else _call_in_answer(client, question)
    assert call["function"]["name"] == "get_weather"
    assert "Paris" in call["function"]["arguments"]
    turns = [
        *question,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": '{"celsius": 18}'},
    ]
    answer = client.chat.completions.create(model=MODEL, messages=turns, tools=[WEATHER])
    assert "18" in (answer.choices[0].message.content or "")


def _call_in_answer(client: OpenAI, question: list[Any]) -> Any:
    answer = client.chat.completions.create(
        model=MODEL, messages=question, tools=[WEATHER], tool_choice="required"
    )
    assert answer.choices[0].finish_reason == "tool_calls"
    calls = answer.choices[0].message.tool_calls
    assert calls is not None
    return calls[0].model_dump()


def _call_in_stream(client: OpenAI, question: list[Any]) -> Any:
    with client.chat.completions.stream(
        model=MODEL, messages=question, tools=[WEATHER], tool_choice="required"
    ) as stream:
        stream.until_done()
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls
    return choice.message.tool_calls[0].model_dump(exclude={"function": {"parsed_arguments"}})


# ------------------------------------------------------------------ pictures


def test_pictures_by_url(client: OpenAI, keyed: Running) -> None:
    answer = client.images.generate(model="qwen3-vl-plus", prompt="A lake", size="1024x1536", n=2)
    urls = [image.url or "" for image in answer.data or ()]
    assert len(set(urls)) == 2
    assert all(url.startswith(f"{keyed.url}/media/") for url in urls)
    assert all(httpx.get(url).content.startswith(PNG) for url in urls)


def test_a_picture_in_base64(client: OpenAI) -> None:
    answer = client.images.generate(model="qwen3-vl-plus", prompt="A lake", response_format="b64_json")
    assert answer.data
    assert answer.data[0].url is None
    assert base64.b64decode(answer.data[0].b64_json or "", validate=True).startswith(PNG)


def test_a_picture_is_edited(client: OpenAI) -> None:
    drawn = client.images.generate(model="qwen3-vl-plus", prompt="A lake", response_format="b64_json")
    assert drawn.data
    picture = base64.b64decode(drawn.data[0].b64_json or "")
    for images in (("lake.png", picture), [("lake.png", picture), ("Озеро.png", picture)]):
        edited = client.images.edit(model="qwen3-vl-plus", image=images, prompt="At night")
        assert edited.data
        assert httpx.get(edited.data[0].url or "").content.startswith(PNG)


# ------------------------------------------------------------------ films


def test_a_film_from_order_to_deletion(client: OpenAI) -> None:
    video = client.videos.create(model="qwen3-vl-plus", prompt="Waves", size="1280x720", seconds="4")
    assert video.status in ("queued", "in_progress")
    done = client.videos.poll(video.id, poll_interval_ms=200)
    assert (done.status, done.progress, done.error) == ("completed", 100, None)
    film = client.videos.download_content(video.id).read()
    assert film[4:8] == b"ftyp"
    assert video.id in [listed.id for listed in client.videos.list()]
    assert client.videos.delete(video.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.videos.retrieve(video.id)


def test_films_are_listed_page_by_page(client: OpenAI) -> None:
    made = [client.videos.create(prompt=f"Waves {at}").id for at in range(3)]
    listed = [video.id for video in client.videos.list(limit=2)]
    assert listed[:3] == made[::-1]
    assert len(listed) == len(set(listed))


def test_a_film_from_a_picture(client: OpenAI) -> None:
    drawn = client.images.generate(model="qwen3-vl-plus", prompt="A lake", response_format="b64_json")
    assert drawn.data
    picture = base64.b64decode(drawn.data[0].b64_json or "")
    video = client.videos.create_and_poll(
        prompt="The lake moves", input_reference=("lake.png", picture), poll_interval_ms=200
    )
    assert video.status == "completed"


def test_a_film_that_fails(client: OpenAI, healthy: Provider) -> None:
    healthy.fail("task_fails", endpoint="completions")
    video = client.videos.create_and_poll(prompt="Waves", poll_interval_ms=200)
    assert video.status == "failed"
    assert video.error is not None
    assert video.error.message
    with pytest.raises(openai.APIStatusError) as refused:
        client.videos.download_content(video.id)
    assert refused.value.status_code in (400, 404)


# ------------------------------------------------------------------ models, files


def test_models(client: OpenAI) -> None:
    ids = [model.id for model in client.models.list()]
    assert MODEL in ids
    assert client.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError) as missing:
        client.models.retrieve("vendor/no such model")
    assert missing.value.code == "model_not_found"


def test_files(client: OpenAI) -> None:
    content = bytes(range(256)) * 10
    file = client.files.create(file=("Отчёт 1.bin", content), purpose="user_data")
    assert (file.filename, file.bytes, file.purpose) == ("Отчёт 1.bin", len(content), "user_data")
    assert client.files.retrieve(file.id).id == file.id
    assert client.files.content(file.id).read() == content
    assert file.id in [listed.id for listed in client.files.list()]
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(file.id)


def test_a_file_is_read_in_a_chat(client: OpenAI) -> None:
    file = client.files.create(file=("notes.txt", b"Buy milk.\nThen sleep."), purpose="user_data")
    parts: Any = [{"type": "text", "text": "Read it"}, {"type": "file", "file": {"file_id": file.id}}]
    answer = client.chat.completions.create(
        model="qwen3-vl-plus", messages=[{"role": "user", "content": parts}]
    )
    assert "Buy milk." in (answer.choices[0].message.content or "")


# ------------------------------------------------------------------ errors


def chat(client: OpenAI, **fields: Any) -> Any:
    return client.chat.completions.create(**{"model": MODEL, "messages": said("Ping"), **fields})


def test_400(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as error:
        chat(client, messages=[])
    assert (error.value.type, error.value.param) == ("invalid_request_error", "messages")
    with pytest.raises(openai.BadRequestError) as error:
        client.images.generate(prompt="A lake", size="huge")  # type: ignore[call-overload]
    assert error.value.param == "size"


def test_401(client: OpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as error:
        chat(client.with_options(api_key="sk-wrong"))
    assert error.value.code == "invalid_api_key"
    assert error.value.request_id


def test_403(client: OpenAI) -> None:
    bob = client.with_options(api_key="sk-bob")
    assert chat(bob).choices
    with pytest.raises(openai.PermissionDeniedError) as error:
        chat(bob, model="qwen3-vl-plus")
    assert error.value.type == "permission_error"
    with pytest.raises(openai.PermissionDeniedError):
        bob.images.generate(prompt="A lake")


def test_404(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as error:
        chat(client, model="gpt-99")
    assert (error.value.code, error.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model=MODEL, input="text")


def test_413(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as error:
        chat(client, messages=said("x" * (5 << 20)))
    assert error.value.status_code == 413
    with pytest.raises(openai.APIStatusError) as error:
        client.files.create(file=("big.bin", bytes(2 << 20)), purpose="user_data")
    assert error.value.status_code == 413


def test_429(client: OpenAI, healthy: Provider) -> None:
    healthy.fail("burst_limit", times=0, endpoint="completions")
    with pytest.raises(openai.RateLimitError) as error:
        chat(client)
    assert error.value.type == "rate_limit_error"
    assert int(error.value.response.headers["retry-after"]) >= 1
    healthy.heal()
    time.sleep(float(error.value.response.headers["retry-after"]))
    assert chat(client).choices


@pytest.mark.parametrize(
    ("fault", "status"), [("server_error", 502), ("empty_body", 502), ("created_only", 502)]
)
def test_5xx(client: OpenAI, healthy: Provider, fault: str, status: int) -> None:
    healthy.fail(fault, times=0, endpoint="completions")
    with pytest.raises(openai.InternalServerError) as error:
        chat(client)
    assert (error.value.status_code, error.value.type) == (status, "server_error")


def test_an_error_in_mid_stream_is_raised_and_never_a_stop(client: OpenAI, healthy: Provider) -> None:
    healthy.fail("cut", endpoint="completions", after=2000)
    seen: list[Any] = []
    stream = client.chat.completions.create(model=MODEL, messages=said("Count to 500"), stream=True)
    with stream, pytest.raises(openai.APIError) as error:
        seen.extend(stream)
    assert type(error.value) is openai.APIError
    assert any(chunk.choices[0].delta.content for chunk in seen)
    assert not any(chunk.choices[0].finish_reason for chunk in seen)


# ------------------------------------------------------------------ retries, time-outs, leaving


def test_a_chat_is_tried_again_by_the_sdk(client: OpenAI, healthy: Provider) -> None:
    healthy.fail("server_error", times=2, endpoint="completions")
    assert chat(client.with_options(max_retries=2)).choices


def test_an_order_whose_answer_was_lost_is_never_sent_twice(client: OpenAI, healthy: Provider) -> None:
    before = len(healthy.calls("completions", "t2v"))
    healthy.fail("lost_answer", endpoint="completions", chat_type="t2v")
    with pytest.raises(openai.InternalServerError) as error:
        client.with_options(max_retries=2).videos.create(prompt="Lost waves")
    assert error.value.code == "create_ambiguous"
    found = next(video for video in client.videos.list() if video.prompt == "Lost waves")
    assert client.videos.poll(found.id, poll_interval_ms=200).status == "completed"
    assert len(healthy.calls("completions", "t2v")) == before + 1


def test_an_impatient_order_joins_its_first_try(client: OpenAI, healthy: Provider) -> None:
    before = len(healthy.calls("completions", "t2v"))
    healthy.fail("slow", endpoint="completions", chat_type="t2v", head_seconds=1.0)
    client.with_options(max_retries=3, timeout=0.6).videos.create(prompt="Impatient waves")
    assert len(healthy.calls("completions", "t2v")) == before + 1


def test_a_key_makes_an_order_one(client: OpenAI, healthy: Provider) -> None:
    before = len(healthy.calls("completions", "t2v"))
    once = {"Idempotency-Key": "waves-1"}
    first, second = (client.videos.create(prompt="Waves", extra_headers=once) for _ in range(2))
    assert first.id == second.id
    assert len(healthy.calls("completions", "t2v")) == before + 1
    with pytest.raises(openai.UnprocessableEntityError):
        client.videos.create(prompt="Other waves", extra_headers=once)


def test_the_clients_own_time_out(client: OpenAI, healthy: Provider) -> None:
    healthy.fail("slow", endpoint="completions", head_seconds=3.0)
    with pytest.raises(openai.APITimeoutError):
        chat(client.with_options(timeout=0.5))


@pytest.mark.anyio
async def test_the_async_client(keyed: Running) -> None:
    async with AsyncOpenAI(base_url=f"{keyed.url}/v1/", api_key="sk-alice") as client:
        answers = await asyncio.gather(
            *(
                client.chat.completions.create(model=MODEL, messages=said(f"Say 'number {at}'"))
                for at in range(20)
            )
        )
    assert [answer.choices[0].message.content for answer in answers] == [f"number {at}" for at in range(20)]


def test_leaving_in_mid_stream_frees_everything_within_a_second(
    client: OpenAI, keyed: Running, healthy: Provider
) -> None:
    healthy.fail("slow", times=0, endpoint="completions", seconds=0.05)
    with client.chat.completions.create(model=MODEL, messages=said("Count to 999"), stream=True) as stream:
        next(stream)
        assert keyed.in_flight("sk-alice") == 1
    check_free_within_a_second(keyed)


@pytest.mark.anyio
async def test_leaving_before_the_answer_frees_everything(keyed: Running, healthy: Provider) -> None:
    healthy.fail("slow", endpoint="completions", head_seconds=8.0)
    async with AsyncOpenAI(base_url=f"{keyed.url}/v1", api_key="sk-alice") as client:
        call = asyncio.create_task(client.chat.completions.create(model=MODEL, messages=said("Ping")))
        await asyncio.sleep(0.5)
        assert await asyncio.to_thread(keyed.in_flight, "sk-alice") == 1
        call.cancel()
        await asyncio.to_thread(check_free_within_a_second, keyed)


def check_free_within_a_second(gateway: Running) -> None:
    left = time.monotonic()
    while gateway.in_flight("sk-alice"):
        assert time.monotonic() - left < 1
        time.sleep(0.05)
