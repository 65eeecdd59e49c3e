"""What is counted: gauges that are fed, and series that stay the same whatever clients send."""

import asyncio
import random
import string
import time

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from gateway.generation.errors import error_codes
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Attempt, Observation
from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

_eighths = st.integers(0, 100).map(lambda number: number / 8)  # Their sums are exact in any order.
_requests = st.builds(
    Observation,
    st.just("r"),
    method=st.sampled_from(["GET", "POST", "PROPFIND"]),
    route=st.sampled_from(["unmatched", "/a", "/b"]),
    status=st.sampled_from([200, 404]),
    chat_type=st.sampled_from(["", "t2t", "t2v"]),
    upstream=st.sampled_from(["", "qwen"]),
    model=st.sampled_from(["", "m"]),
    error_code=st.sampled_from(["", "rate_limited", "made-up"]),
    client_gone=st.booleans(),
    media=st.integers(0, 2),
    video_seconds=st.sampled_from([0.0, 2.0]),
    tokens_in=st.integers(0, 2),
    tokens_out=st.integers(0, 2000),
    duration=_eighths,
    first_event=st.none() | _eighths,
    overhead=st.none() | _eighths,
)
CHAT = {"model": "qwen-max-latest", "messages": [{"role": "user", "content": "hi"}]}


def series(exposition: str) -> set[str]:
    """Return what is counted, without the counts."""
    return {line.rpartition(" ")[0] for line in exposition.splitlines() if not line.startswith("#")}


def samples(exposition: str, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
        if sample.name == name
    }


def lines(exposition: bytes) -> set[bytes]:
    """Return what is said, without the moments at which series began."""
    return {line for line in exposition.splitlines() if b"_created" not in line}


async def knock(client: httpx.AsyncClient, number: int) -> None:
    chance = random.Random(number)
    word = "".join(chance.choices(string.ascii_letters, k=12))
    await client.get(f"/{word}/{number}")
    await client.post("/v1/chat/completions", json=CHAT | {"model": word})
    await client.post("/api/chat", json={"message": "hi", "chatType": word})
    await client.post("/api/chat", json={"message": "hi", "model": word, "chatType": "t2v"})
    await client.get(f"/v1/models/{word}")
    await client.get(f"/media/{word}")
    await client.request(chance.choice(["LINK", "PROPFIND", "MKCOL", "UNLINK"]), "/v1/models")


async def test_a_thousand_hostile_requests_add_no_series(tmp_path):
    async with (
        serving_gateway(settings_in(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for number in range(8):
            await knock(client, number)
        await client.get("/metrics")
        before = series((await client.get("/metrics")).text)
        for start in range(8, 152, 8):
            await asyncio.gather(*(knock(client, number) for number in range(start, start + 8)))
        assert series((await client.get("/metrics")).text) == before


async def test_a_model_that_no_provider_confirmed_is_no_label(tmp_path):
    toml = '[upstreams.gone]\nkind = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"\n'
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url, timeout=30) as client,
    ):
        answer = await client.post("/v1/chat/completions", json=CHAT | {"model": "made-up"})
        assert answer.status_code >= 500
        assert "made-up" not in (await client.get("/metrics")).text


async def test_a_method_is_a_label_only_where_it_is_known(tmp_path):
    metrics = Metrics()
    for method in ("GET", "PROPFIND", "X" * 50):
        observed = Observation("r", method=method)
        observed.route, observed.status = "/v1/models", 405
        metrics.record_request(observed)
    methods = {labels[0] for labels in samples(metrics.exposition().decode(), "gateway_http_requests_total")}
    assert methods == {"GET", "_other"}


async def test_a_providers_word_for_an_error_is_no_label():
    metrics = Metrics(error_codes())
    for code in ("rate_limited", "", "Throttling.User.8731"):
        observed = Observation("r", method="POST")
        observed.route, observed.status, observed.chat_type, observed.error_code = "/x", 502, "t2t", code
        metrics.record_request(observed)
    found = samples(metrics.exposition().decode(), "gen_ai_server_request_duration_seconds_count")
    assert {labels[0] for labels in found} == {"rate_limited", "", "_other"}


async def test_the_gauges_tell_how_it_stands(tmp_path):
    async with (
        serving_gateway(settings_in(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        await client.post("/v1/chat/completions", json=CHAT)
        text = (await client.get("/metrics")).text
        assert samples(text, "gateway_accounts_available")["t2t", "sandbox"] == 1
        states = samples(text, "gateway_account_state")
        assert states["sandbox/sandbox", "t2t", "ok"] == 1
        assert states["sandbox/sandbox", "t2t", "cooling"] == 0
        assert samples(text, "gateway_account_in_flight") == {("sandbox/sandbox",): 0}
        assert samples(text, "gateway_draining") == {(): 0}
        served.gateway.readiness.draining = True
        assert samples((await client.get("/metrics")).text, "gateway_draining") == {(): 1}
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/livez")).status_code == 200
        assert 0 <= samples(text, "gateway_event_loop_lag_seconds")[()] < 5


async def test_a_blocked_loop_is_seen(tmp_path):
    async with (
        serving_gateway(settings_in(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        await asyncio.sleep(0.3)
        time.sleep(1.2)  # noqa: ASYNC251 - that is the fault
        text = (await client.get("/metrics")).text
        assert samples(text, "gateway_event_loop_lag_seconds")[()] > 0.1


@settings(deadline=None)
@given(st.lists(_requests, max_size=12))
def test_requests_counted_together_read_as_requests_counted_one_by_one(requests):
    together, one_by_one = Metrics(error_codes()), Metrics(error_codes())
    for observed in requests:
        together.record_request(observed)
        one_by_one.record_request(observed)
        one_by_one.exposition()
    assert lines(together.exposition()) == lines(one_by_one.exposition())


def test_calls_to_providers_are_counted_by_how_they_ended():
    metrics = Metrics()
    for outcome, seconds in (("ok", 0.25), ("ok", 0.5), ("timeout", 2.0)):
        metrics.record_attempt(Attempt("qwen", "a", "t2t", outcome, seconds))
    text = metrics.exposition().decode()
    assert samples(text, "gateway_upstream_attempts_total") == {
        ("qwen/a", "t2t", "ok"): 2,
        ("qwen/a", "t2t", "timeout"): 1,
    }
    assert samples(text, "gateway_upstream_attempt_duration_seconds_sum") == {
        ("t2t", "ok", "qwen"): 0.75,
        ("t2t", "timeout", "qwen"): 2.0,
    }
