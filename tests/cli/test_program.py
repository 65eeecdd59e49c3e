"""The root command: help, exit codes, and commands that plugins add."""

import json

import pytest

from tests.cli.running import run


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
