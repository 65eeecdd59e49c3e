"""The gateway as a contestant: its configuration in any size, its command line."""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tests.bench.contestants import Launch, Wire
from tests.bench.history import write_history

__all__ = ["COMMAND", "KEY", "Gateway", "Shape"]

COMMAND = Path(sys.executable).with_name("gateway")
KEY = "sk-bench-0"

_TOP = """
[auth]
{keys}
[state]
url = "{state}"
[routes]
t2t = ["{text}"]
t2i = ["local"]
t2v = ["qwen"]
[models]
default = "bench"
[log]
format = "json"
[upstreams.local]
kind = "openai_compatible"
base_url = "http://127.0.0.1:{mock_port}/v1"
chat_types = ["t2t", "t2i"]
{local_accounts}
[upstreams.qwen]
kind = "qwen_chat"
base_url = "http://127.0.0.1:{mock_port}"
{qwen_accounts}
"""


class Shape(msgspec.Struct, frozen=True):
    """How large the configuration is, how many finished tasks there are, and which upstream serves text."""

    accounts: int = 1
    keys: int = 1
    tasks: int = 0
    text_upstream: str = "local"


_SMALL = Shape()


class Gateway:
    """`gateway serve` as an operator starts it: keys, ledger, leases, metrics, logs, SQLite."""

    wires: frozenset[Wire] = frozenset({"chat", "images", "native", "videos"})

    name = "gateway"

    def __init__(self, shape: Shape = _SMALL, command: Sequence[str | Path] = ()) -> None:
        self._shape = shape
        self._command = command or (COMMAND,)

    def available(self) -> bool:
        return COMMAND.exists()

    def help_argv(self) -> Sequence[str]:
        """The command whose time is the time of `--help`."""
        return (str(COMMAND), "--help")

    def headers(self, mock_port: int) -> Sequence[str]:
        return (f"authorization: Bearer {KEY}",)

    def launch(self, port: int, mock_port: int, folder: Path) -> Launch | None:
        for remains in folder.glob("gateway.db*"):
            remains.unlink()
        if self._shape.tasks:
            write_history(f"{folder}/gateway.db", "bench-0", self._shape.tasks)
        config = folder / "gateway.toml"
        config.write_text(self._toml(mock_port, f"sqlite:///{folder}/gateway.db"))
        return Launch(
            [*self._command, "serve", "--config", config, "--host", "127.0.0.1", "--port", str(port)]
        )

    def _toml(self, mock_port: int, state: str) -> str:
        shape = self._shape
        return _TOP.format(
            keys=_tables("auth.keys", 'name = "bench-{0}"\nkey = "sk-bench-{0}"', shape.keys),
            state=state,
            text=shape.text_upstream,
            mock_port=mock_port,
            local_accounts=_tables(
                "upstreams.local.accounts", 'id = "local-{0}"\napi_key = "key-{0}"', shape.accounts
            ),
            qwen_accounts=_tables("upstreams.qwen.accounts", 'id = "qwen-{0}"\ntoken = "token-{0}"', 1),
        )


def _tables(name: str, body: str, count: int) -> str:
    return "\n".join(f"[[{name}]]\n{body.format(number)}" for number in range(count))
