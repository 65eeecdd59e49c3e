"""The outermost layer: what every answer carries."""

import asyncio
from pathlib import Path

import httpx
import pytest

from gateway.telemetry.metrics import Metrics
from gateway.telemetry.observation import Observation
from gateway.web.access_log import AccessLog
from gateway.web.answers import send_body
from tests.serving import serving_gateway, settings_in

pytestmark = pytest.mark.anyio

CONFIGURED = '[upstreams.box]\nkind = "sandbox"\n'


@pytest.mark.parametrize(("toml", "word"), [("", "true"), (CONFIGURED, None)])
async def test_every_answer_says_when_the_embedded_sandbox_serves(
    tmp_path: Path, toml: str, word: str | None
) -> None:
    async with (
        serving_gateway(settings_in(tmp_path, toml)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        for path in ("/livez", "/v1/models", "/api/status", "/nowhere"):
            assert (await client.get(path)).headers.get("x-gateway-sandbox") == word


async def test_every_answer_has_an_id_of_its_own(tmp_path: Path) -> None:
    async with (
        serving_gateway(settings_in(tmp_path)) as served,
        httpx.AsyncClient(base_url=served.url) as client,
    ):
        answers = [await client.get(path) for path in ("/livez", "/livez", "/v1/models", "/nowhere")]
    ids = {answer.headers["x-request-id"] for answer in answers}
    assert len(ids) == len(answers)


class Lines:
    """Takes the place of the request log."""

    def __init__(self) -> None:
        self.seen: list[Observation] = []

    def write(self, observed: Observation) -> None:
        assert observed.duration > 0
        self.seen.append(observed)


async def pass_through(app, *headers: tuple[bytes, bytes]) -> tuple[Observation, list[dict]]:
    """Send one request through an access log over `app`; return its line and what was sent."""
    lines, sent = Lines(), []
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": list(headers)}

    async def send(message) -> None:
        sent.append(message)

    await AccessLog(app, Metrics(), lines)(scope, None, send)
    (line,) = lines.seen
    return line, sent


async def answering(scope, receive, send) -> None:
    scope["path_template"] = "/x"
    await send_body(send, 418, b"teapot")


@pytest.mark.parametrize(
    ("sent", "kept"), [(b"abc-1._Z", "abc-1._Z"), (b"a b", ""), (b"x" * 129, ""), (b"\xff", ""), (b"a\n", "")]
)
async def test_a_clients_own_id_is_kept_if_it_is_harmless(sent, kept):
    line, _ = await pass_through(answering, (b"x-request-id", sent))
    assert line.client_request_id == kept


async def test_the_line_says_what_was_answered():
    line, sent = await pass_through(answering)
    assert (line.status, line.route, line.bytes_out) == (418, "/x", 6)
    assert (b"x-request-id", line.request_id.encode()) in sent[0]["headers"]


async def test_a_client_that_left_before_its_answer_is_a_499():
    async def leaving(scope, receive, send) -> None:
        scope["gateway.observed"].client_gone = True

    line, sent = await pass_through(leaving)
    assert (line.status, sent) == (499, [])


async def test_a_stream_keeps_the_status_that_it_began_with():
    async def streaming(scope, receive, send) -> None:
        observed = scope["gateway.observed"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        observed.stream = observed.client_gone = True

    line, _ = await pass_through(streaming)
    assert line.status == 200


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
async def test_what_breaks_is_logged_all_the_same(error):
    async def breaking(scope, receive, send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def send(message) -> None:
        return

    metrics, lines = Metrics(), Lines()
    scope = {"type": "http", "method": "GET", "path": "/x", "headers": []}
    with pytest.raises(error):
        await AccessLog(breaking, metrics, lines)(scope, None, send)
    assert [line.status for line in lines.seen] == [200]
    assert b"gateway_http_requests_in_progress 0.0" in metrics.exposition()
