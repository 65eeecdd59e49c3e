"""The sandbox as an upstream: a Qwen chat upstream whose provider runs in this very process.

Nothing is short-circuited: requests leave by the transport and arrive on a
socket, so a first run without an account takes the path that a real one takes.
"""

from pathlib import Path
from typing import ClassVar

import msgspec

from gateway.plugin_api import UpstreamContext
from gateway_qwen_chat import QwenChatUpstream
from gateway_qwen_chat.settings import QwenChatSettings

from .server import SandboxServer
from .settings import SandboxSettings

__all__ = ["SandboxUpstream"]

_FILE = "gateway-sandbox.db"


class SandboxUpstream(QwenChatUpstream):
    """Starts a sandbox server and speaks the Qwen chat wire to it."""

    Settings: ClassVar[type[msgspec.Struct]] = SandboxSettings

    def __init__(self, server: SandboxServer, base_url: str, context: UpstreamContext) -> None:
        super().__init__(QwenChatSettings(base_url=base_url), context)
        self._server = server

    @classmethod
    async def create(  # type: ignore[override]  # every plugin's create takes its own Settings
        cls, settings: SandboxSettings, context: UpstreamContext
    ) -> "SandboxUpstream":
        """Start the server; without a `path` of its own the state lies in the gateway's data folder."""
        server = SandboxServer(msgspec.structs.replace(settings, path=_path(settings, context.data_dir)))
        return cls(server, await server.start(), context)

    async def aclose(self) -> None:
        """Stop speaking, then stop the server."""
        try:
            await super().aclose()
        finally:
            await self._server.aclose()


def _path(settings: SandboxSettings, folder: Path) -> str:
    return settings.path or str(folder / _FILE)
