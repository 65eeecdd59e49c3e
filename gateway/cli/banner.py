"""What `gateway serve` says when it answers: a page for people, a line for machines."""

import sys

from rich.console import Console, Group
from rich.panel import Panel
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gateway import __version__
from gateway.app import Gateway
from gateway.config import Settings
from gateway.telemetry.logging import get_logger

__all__ = ["announce"]

_SNIPPET = """\
from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="{key}")
print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}]))"""


def announce(settings: Settings, url: str, gateway: Gateway) -> None:
    """Say where the gateway serves, on stderr: a banner on a terminal, else one line in the log."""
    if sys.stderr.isatty():
        Console(stderr=True).print(_banner(settings, url, sandbox=gateway.sandbox))
    else:
        get_logger().info("serving", url=url, version=__version__, sandbox=gateway.sandbox)


def _banner(settings: Settings, url: str, *, sandbox: bool) -> Panel:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("OpenAI", Text(f"{url}/v1", style="bold cyan"))
    facts.add_row("native", Text(f"{url}/api/chat", style="cyan"))
    facts.add_row("keys", _keys(settings))
    facts.add_row("provider", _provider(settings, sandbox=sandbox))
    title = Text.assemble(("qwen-gateway", "bold"), f" {__version__}")
    snippet = Syntax(_snippet(settings, url), "python", theme="ansi_dark", background_color="default")
    return Panel(Group(facts, Text(), snippet), title=title, title_align="left", border_style="cyan")


def _keys(settings: Settings) -> Text:
    names = ", ".join(key.name for key in settings.auth.keys)
    if not names:
        return Text("none needed: only this machine can call")
    optional = " (optional)" if settings.auth.allow_anonymous else ""
    return Text(f"Authorization: Bearer with the key of {names}{optional}")


def _provider(settings: Settings, *, sandbox: bool) -> Text:
    if not sandbox:
        return Text(", ".join(f"{name} ({table.kind})" for name, table in settings.upstreams.items()))
    return Text.assemble(
        ("the sandbox: answers are made up here", "bold yellow"),
        "\nFor real ones name an upstream in gateway.toml: ",
        ("gateway config init", "bold"),
    )


def _snippet(settings: Settings, url: str) -> str:
    key = "YOUR-KEY" if settings.auth.keys else "none"
    return _SNIPPET.format(base_url=f"{url}/v1", key=key, model=settings.models.default)
