"""What `gateway serve` says when it answers: a page for people, a line for machines."""

import sys

from rich.console import Console
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from gateway import __version__
from gateway.app import Gateway
from gateway.config import Settings
from gateway.telemetry.logging import get_logger

__all__ = ["announce"]

_SNIPPET = """
from openai import OpenAI
client = OpenAI(base_url="{base_url}", api_key="{key}")
print(client.chat.completions.create(model="{model}", messages=[{{"role": "user", "content": "Hello"}}]))
"""


def announce(settings: Settings, url: str, gateway: Gateway) -> None:
    """Say where the gateway serves, on stderr: a banner on a terminal, else one line in the log."""
    if not sys.stderr.isatty():
        get_logger().info("serving", url=url, version=__version__, sandbox=gateway.sandbox)
        return
    console = Console(stderr=True)
    console.print(Text.assemble("\n", ("qwen-gateway", "bold"), f" {__version__}\n"))
    console.print(_facts(settings, url, sandbox=gateway.sandbox))
    # No frame and no line breaks: these lines are there to be copied.
    console.print(_snippet(settings, url), soft_wrap=True)


def _facts(settings: Settings, url: str, *, sandbox: bool) -> Table:
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim")
    facts.add_column(overflow="fold")
    facts.add_row("  base_url", Text(f"{url}/v1", style="bold cyan"))
    facts.add_row("  native", Text(f"{url}/api/chat", style="cyan"))
    facts.add_row("  key", _keys(settings))
    facts.add_row("  provider", _provider(settings, sandbox=sandbox))
    return facts


def _keys(settings: Settings) -> Text:
    names = ", ".join(key.name for key in settings.auth.keys)
    if not names:
        return Text("none needed: only this machine can call")
    optional = " (optional)" if settings.auth.allow_anonymous else ""
    return Text(f"that of {names}{optional}")


def _provider(settings: Settings, *, sandbox: bool) -> Text:
    if not sandbox:
        return Text(", ".join(f"{name} ({table.kind})" for name, table in settings.upstreams.items()))
    return Text.assemble(
        ("the sandbox: answers are made up here", "bold yellow"),
        "\nfor real ones name a provider in gateway.toml: ",
        ("gateway config init", "bold"),
    )


def _snippet(settings: Settings, url: str) -> Text:
    key = "YOUR-KEY" if settings.auth.keys else "none"
    code = _SNIPPET.format(base_url=f"{url}/v1", key=key, model=settings.models.default)
    return Syntax("", "python", theme="ansi_dark").highlight(code)
