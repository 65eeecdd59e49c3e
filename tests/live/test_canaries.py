"""Secrets and prompts stay where they belong: under all kinds of traffic a real process tells none."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.process import Provider, Running, running

TOKEN = "eyJcanary.account.token"
KEY = "sk-canary-client-key"
WRONG_KEY = "sk-canary-wrong-key"
PROMPT = "canary-prompt"
SYSTEM = "canary-system-text"
FILE = b"canary-file-content"
FILE_NAME = "canary-file-name.txt"
ANSWER = "canary-answer"
QUERY = "canary-query"
CANARIES = (TOKEN, KEY, WRONG_KEY, PROMPT, SYSTEM, FILE.decode(), FILE_NAME, ANSWER, QUERY)
SIGNED = re.compile(r"https?://[^\s\"]+\?[^\s\"]*(?:key|Signature|sign)=")

CONFIG = f"""
[deadlines]
first_event = 1.0
between_events = 1.0
[log]
level = "debug"
[[auth.keys]]
name = "alice"
key = "{KEY}"
"""
FAULTS = (
    {"kind": "daily_limit"},
    {"kind": "burst_limit"},
    {"kind": "unauthorized"},
    {"kind": "captcha_html"},
    {"kind": "captcha_json"},
    {"kind": "server_error"},
    {"kind": "empty_body"},
    {"kind": "error_frame"},
    {"kind": "stall"},
    {"kind": "cut", "after": 900},
    {"kind": "lost_answer"},
)


@pytest.fixture
def gateway(healthy: Provider, tmp_path: Path) -> Iterator[Running]:
    tokens = [f"{TOKEN}{at}" for at in range(2 * len(FAULTS))]
    with running(tmp_path, healthy.configured(*tokens, more=CONFIG)) as gateway:
        yield gateway


def test_no_secret_and_no_prompt_is_told(gateway: Running, healthy: Provider) -> None:
    with httpx.Client(base_url=gateway.url, headers={"authorization": f"Bearer {KEY}"}, timeout=20) as client:
        refusals = [*fair_traffic(client), *foul_traffic(client), *faulty_traffic(client, healthy)]
        shown = {
            "metrics": client.get("/metrics").text,
            "status": client.get("/api/status").text,
            "log": gateway.logged(),
            **{f"error {at}": answer.text for at, answer in enumerate(refusals)},
        }
    assert len(refusals) > len(FAULTS)
    assert gateway.logged().count('"event":"request"') > 20
    told = [(place, canary) for place, text in shown.items() for canary in CANARIES if canary in text]
    assert told == []
    assert [place for place, text in shown.items() if SIGNED.search(text)] == []


def ask(client: httpx.Client, **fields: object) -> httpx.Response:
    return client.post("/api/chat", json={"message": f"Say '{ANSWER}' to {PROMPT}", **fields})


def fair_traffic(client: httpx.Client) -> list[httpx.Response]:
    """Use everything; return the refusals, of which there are none."""
    upload = client.post("/api/files/upload", files={"file": (FILE_NAME, FILE)})
    assert ANSWER in ask(client, systemMessage=SYSTEM).text
    used = [
        ask(client, stream=True),
        ask(client, files=[upload.json()["id"]]),
        ask(client, chatType="t2i"),
        ask(client, chatType="t2v"),
        client.get(f"/v1/models?{QUERY}={QUERY}"),
        client.get(f"/v1/files/{upload.json()['id']}/content"),
    ]
    return [answer for answer in (upload, *used) if answer.status_code != 200]


def foul_traffic(client: httpx.Client) -> list[httpx.Response]:
    """Break the rules of both APIs."""
    stranger = {"authorization": f"Bearer {WRONG_KEY}"}
    bearer = {"authorization": f"Bearer {KEY}"}
    return [
        client.get("/v1/models", headers=stranger),
        client.post("/api/chat", content=f'{{"message": "{PROMPT}'.encode(), headers=bearer),
        client.post("/v1/chat/completions", content=f'{{"messages": "{PROMPT}"}}'.encode()),
        ask(client, temperature=PROMPT),
        ask(client, chatId=f"{PROMPT}-chat"),
        client.get(f"/api/tasks/status/{QUERY}?{QUERY}={QUERY}"),
    ]


def faulty_traffic(client: httpx.Client, provider: Provider) -> list[httpx.Response]:
    """Meet every kind of trouble, waiting and streaming."""
    answers = []
    for fault in FAULTS:
        for stream in (False, True):
            provider.fail(**fault, endpoint="completions")
            answers.append(ask(client, stream=stream))
            provider.heal()
    provider.fail("lost_answer", endpoint="completions", chat_type="t2v")
    answers.append(ask(client, chatType="t2v"))
    return [answer for answer in answers if answer.status_code != 200 or '"error"' in answer.text]
