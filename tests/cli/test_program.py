"""The root command: help, exit codes, and commands that plugins add."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import rich_click as click

from gateway.cli.problems import as_problem
from gateway.cli.program import program
from gateway.config import ConfigError
from gateway.plugin_api.registry import PluginError
from gateway.state.store import StoreUnavailable
from tests.cli.running import run

DOCUMENT = Path(__file__).parents[2] / "docs" / "commands.md"


def test_help_lists_our_commands_and_the_plugins() -> None:
    answer = run("--help")
    assert answer.returncode == 0
    assert all(f" {name} " in answer.stdout for name in ("serve", "config", "openapi", "plugins", "sandbox"))


def test_a_plugins_command_is_the_real_one() -> None:
    answer = run("sandbox", "--help")
    assert answer.returncode == 0
    assert "--video-seconds" in answer.stdout


@pytest.mark.parametrize("args", [("nonsense",), ("serve", "--port", "70000"), ("openapi", "--what")])
def test_wrong_usage_is_exit_code_2(args: tuple[str, ...]) -> None:
    answer = run(*args)
    assert (answer.returncode, answer.stdout) == (2, "")


def test_plugins_are_listed_with_who_ships_them() -> None:
    found = json.loads(run("plugins", "--json").stdout)
    sandbox = [one for one in found if one["name"] == "sandbox" and one["group"] == "gateway.upstreams"]
    assert [one["distribution"] for one in sandbox] == ["qwen-gateway"]
    assert sandbox[0]["target"] in run("plugins").stdout


def test_help_imports_no_server_and_no_client() -> None:
    heavy = {"litestar", "uvicorn", "httpx", "structlog", "prometheus_client", "PIL", "obstore", "limits"}
    code = f"import sys, gateway.cli; print(sorted(set(sys.modules) & {heavy!r}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout == "[]\n"


def test_a_bug_is_a_traceback_and_not_a_problem() -> None:
    assert as_problem(ZeroDivisionError("a bug")) is None


@pytest.mark.parametrize("error", [ConfigError("x"), PluginError("x"), StoreUnavailable("x")])
def test_what_an_operator_can_mend_is_a_problem(error: Exception) -> None:
    problem = as_problem(error)
    assert problem is not None
    assert (str(problem), problem.exit_code) == ("x", 2)


def commands_of(group: click.Group, prefix: str) -> dict[str, click.Command]:
    """Return every command below a group by its full name."""
    found: dict[str, click.Command] = {}
    for name, command in group.commands.items():
        path = f"{prefix} {name}"
        found |= commands_of(command, path) if isinstance(command, click.Group) else {path: command}
    return found


@pytest.mark.parametrize("name", commands_of(program, "gateway"))
def test_every_command_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCUMENT.read_text("utf-8")


def test_every_command_and_option_explains_itself() -> None:
    for name, command in commands_of(program, "gateway").items():
        assert command.help, name
        options = [option for option in command.params if isinstance(option, click.Option)]
        assert [option.name for option in options if not option.help] == [], name


def test_every_documented_command_exists() -> None:
    documented = set(re.findall(r"`(gateway [a-z -]+)`", DOCUMENT.read_text("utf-8")))
    assert documented == {*commands_of(program, "gateway"), "gateway sandbox"}
