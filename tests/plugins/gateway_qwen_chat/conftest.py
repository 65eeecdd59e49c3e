"""A sandbox on a real socket, a double that sends what a test wrote down, and upstreams for both."""

from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import httpx
import pytest

from gateway.plugin_api import Account, Secret, UpstreamContext
from gateway.transport import Transport
from gateway_qwen_chat import QwenChatSettings, QwenChatUpstream
from gateway_sandbox import SandboxServer, SandboxSettings

MakeUpstream = Callable[..., QwenChatUpstream]


class Sandbox:
    """A running sandbox and its back door."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._http = httpx.AsyncClient(base_url=url, trust_env=False, verify=False)
        self._seen = 0

    async def reset(self) -> None:
        """Forget the faults and the requests of earlier tests."""
        await self._http.delete("/__sandbox__/faults")
        self._seen = max((entry["number"] for entry in await self.journal()), default=0)

    async def fault(self, kind: str, **more: object) -> None:
        """Script a fault."""
        answer = await self._http.post("/__sandbox__/faults", json={"kind": kind, **more})
        assert answer.status_code == 200, answer.text

    async def journal(self, endpoint: str = "") -> list[dict]:
        """Return the requests that were seen."""
        answer = await self._http.get("/__sandbox__/journal", params={"after": self._seen})
        entries = answer.json()
        return [entry for entry in entries if not endpoint or entry["endpoint"] == endpoint]

    async def get(self, url: str) -> httpx.Response:
        """Fetch something, as a browser would."""
        return await self._http.get(url)

    async def aclose(self) -> None:
        await self._http.aclose()


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    """Keep one event loop for the tests that share a server."""
    return "asyncio"


@pytest.fixture(scope="module")
async def sandbox_url(anyio_backend: str) -> AsyncGenerator[str, None]:
    settings = SandboxSettings(
        first_token_seconds=0, tokens_per_second=0, image_seconds=0.05, video_seconds=0.2
    )
    server = SandboxServer(settings)
    yield await server.start()
    await server.aclose()


@pytest.fixture
async def sandbox(sandbox_url: str) -> AsyncGenerator[Sandbox, None]:
    sandbox = Sandbox(sandbox_url)
    await sandbox.reset()
    yield sandbox
    await sandbox.aclose()


@pytest.fixture
async def transport(anyio_backend: str) -> AsyncGenerator[Transport, None]:
    transport = Transport()
    yield transport
    await transport.aclose()


@pytest.fixture
async def make_upstream(transport: Transport, tmp_path: Path) -> AsyncGenerator[MakeUpstream, None]:
    made = []

    def make(url: str, transport: Transport = transport, **options: object) -> QwenChatUpstream:
        context = UpstreamContext(name="qwen", transport=transport, data_dir=tmp_path)
        options = {"busy_waits": (0.02, 0.2), **options}
        made.append(QwenChatUpstream(QwenChatSettings(base_url=url, **options), context))
        return made[-1]

    yield make
    for upstream in made:
        await upstream.aclose()


@pytest.fixture
async def upstream(sandbox: Sandbox, make_upstream: MakeUpstream) -> QwenChatUpstream:
    return make_upstream(sandbox.url)


@pytest.fixture
def account() -> Account:
    return Account(upstream="qwen", id="main", secret=Secret("token-a"))


@pytest.fixture
def other_account() -> Account:
    return Account(upstream="qwen", id="spare", secret=Secret("token-b"))
