"""Two clients that look alike are two clients: nothing but a chat id continues a chat."""

from collections.abc import Iterator

import httpx
import pytest

from tests.process import Provider, Running, running

ALIKE = {"user-agent": "browser/1.0", "x-forwarded-for": "203.0.113.7", "cookie": "session=1"}
FIRST = "My name is Ada."
QUESTION = "What is my name?"
UNTOLD = "You have not told me that in this chat."


@pytest.fixture(scope="module")
def gateway(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), provider.configured("token-one")) as gateway:
        yield gateway


def say(gateway: Running, message: str, **fields: str) -> tuple[str, dict[str, str]]:
    """Return the answer and what continues its chat."""
    answer = httpx.post(f"{gateway.url}/api/chat", json={"message": message, **fields}, headers=ALIKE)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    return body["choices"][0]["message"]["content"], {name: body[name] for name in ("chatId", "parentId")}


def test_a_chat_goes_on_by_its_id_alone(gateway: Running) -> None:
    _, mine = say(gateway, FIRST)
    _, theirs = say(gateway, FIRST)
    assert mine["chatId"] != theirs["chatId"]
    assert say(gateway, QUESTION)[0] == UNTOLD
    assert say(gateway, QUESTION, **mine)[0] == "Your name is Ada."
    assert say(gateway, QUESTION, chatId=theirs["chatId"])[0] == "Your name is Ada."


def test_a_first_message_alone_never_finds_a_chat(gateway: Running, provider: Provider) -> None:
    before = {call["chat_id"] for call in provider.calls("completions")}
    for _ in range(3):
        say(gateway, FIRST)
    assert len({call["chat_id"] for call in provider.calls("completions")} - before) == 3


def test_one_off_calls_share_nothing(gateway: Running) -> None:
    for question, expected in ((FIRST, None), (QUESTION, UNTOLD)):
        body = {"model": "qwen3-max", "messages": [{"role": "user", "content": question}]}
        answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=ALIKE).json()
        assert expected in (None, answer["choices"][0]["message"]["content"])
