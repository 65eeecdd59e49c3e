"""`gateway check` and `gateway doctor`: what would go wrong, before it does."""

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import rich_click as click

from gateway.cli.findings import Finding, look, report
from gateway.cli.options import as_json, config_file
from gateway.cli.printing import progress
from gateway.cli.problems import Problem

if TYPE_CHECKING:
    from gateway.config import Settings

__all__ = ["check", "doctor"]

_LEAST_FREE_BYTES: Final = 2**30
_CLOCK_SECONDS: Final = 5.0
_EARLIEST: Final = 1_750_000_000
"""A clock before this (June 2025) was never set."""


@click.command()
@config_file
@as_json
def check(config_path: Path | None, as_json: bool) -> None:
    """Validate configuration, plugins, keys and state; print what would be served. Changes nothing."""
    from gateway.config import load_settings

    report(_check(load_settings(config_path)), as_json=as_json)


@click.command()
@config_file
@click.option("--live", is_flag=True, help="Also ask every account's provider for its models.")
@as_json
def doctor(config_path: Path | None, live: bool, as_json: bool) -> None:
    """Check what `check` does, and this machine: port, clock, state, disk."""
    from gateway.config import load_settings

    settings = load_settings(config_path)
    findings = [
        *_check(settings),
        look("port", partial(_port, settings)),
        look("clock and state", lambda: asyncio.run(_clock_and_state(settings))),
        look("disk", partial(_disk, settings)),
    ]
    if live:
        with progress("asking the providers"):
            findings += asyncio.run(_accounts(settings))
    report(findings, as_json=as_json)


def _check(settings: "Settings") -> Sequence[Finding]:
    checks: dict[str, Callable[[Settings], str]] = {
        "plugins": _plugins,
        "keys": _keys,
        "upstreams": lambda settings: asyncio.run(_upstreams(settings)),
        "state": _state,
    }
    return [look(what, partial(run, settings)) for what, run in checks.items()]


def _plugins(settings: "Settings") -> str:
    from gateway.plugin_api.registry import GENERATORS, Registry

    registry = Registry(settings.plugins.load)
    chat_types = registry.names(GENERATORS)
    for chat_type in chat_types:
        registry.generator(chat_type)
    names = [dialect.name for dialect in registry.dialects()]
    return f"chat types {', '.join(chat_types)}; dialects {', '.join(names)}"


def _keys(settings: "Settings") -> str:
    from gateway.web.auth import KeyRing

    KeyRing(settings.auth)
    names = ", ".join(key.name for key in settings.auth.keys)
    return names or "none: everybody on this machine may call"


async def _upstreams(settings: "Settings") -> str:
    if not settings.upstreams:
        return "none: the sandbox serves, its answers are made up"
    from gateway.cli.providers import open_providers

    async with open_providers(settings) as providers:
        return "; ".join(
            f"{name} ({settings.upstreams[name].kind}, {len(one.accounts)} accounts)"
            for name, one in providers.items()
        )


def _state(settings: "Settings") -> str:
    """Look at the place of the state; a file is not opened, it may be another gateway's or not exist yet."""
    folder = _state_folder(settings)
    if folder is None:
        asyncio.run(_ask_state(settings))
        return "the state answers"
    if not folder.is_dir():
        raise Problem(f"state.url: there is no folder {folder}")
    return f"a file in {folder}"


def _port(settings: "Settings") -> str:
    from gateway.server import bind

    for sock in bind(settings.server):
        sock.close()
    return f"{settings.server.host} {settings.server.port} is free"


async def _clock_and_state(settings: "Settings") -> str:
    if time.time() < _EARLIEST:
        raise Problem("this machine's clock is wrong: certificates and reset times will seem invalid")
    apart = abs(await _ask_state(settings) - time.time())
    if apart > _CLOCK_SECONDS:
        raise Problem(f"the state's clock is {apart:.0f} s away from ours")
    return "the state can be opened and written, and has our time"


async def _ask_state(settings: "Settings") -> float:
    """Open the state and return its time, in unix seconds."""
    from gateway.state.open import open_store

    try:
        store, _ = await open_store(settings.state.url)
    except ValueError as error:
        raise Problem(str(error)) from error
    try:
        return await store.now()
    finally:
        await store.aclose()


def _disk(settings: "Settings") -> str:
    folder = _state_folder(settings) or Path.cwd()
    free = shutil.disk_usage(folder if folder.is_dir() else Path.cwd()).free
    if free < _LEAST_FREE_BYTES:
        raise Problem(f"{free // 2**20} MB are free in {folder}: media and state need room")
    return f"{free // 2**30} GB free"


async def _accounts(settings: "Settings") -> list[Finding]:
    from gateway.cli.providers import ask_account, open_providers

    async with open_providers(settings) as providers:
        return [
            Finding(f"account {name}/{account.id}", *await ask_account(one.upstream, account))
            for name, one in providers.items()
            for account in one.accounts
        ]


def _state_folder(settings: "Settings") -> Path | None:
    """Return the folder of the state file, None when the state is no file."""
    path = settings.state.url.removeprefix("sqlite:///")
    return Path(path).resolve().parent if path != settings.state.url else None
