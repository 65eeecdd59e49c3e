"""`gateway config`: what is shown, what never is, and where to begin."""

import json
import re
import tomllib
from pathlib import Path

import msgspec

from gateway.config import Settings
from tests.cli.running import run

CANARY = "canary-"
SECRETIVE = """
[state]
url = "valkey://user:canary-pass@localhost/0"
[[auth.keys]]
name = "alice"
key = "canary-key"
webhook_url = "https://hooks.example/in?signature=canary-hook"
webhook_secret = "canary-hook"
[upstreams.qwen]
kind = "qwen_chat"
headers = { "x-signed" = "canary-header" }
[[upstreams.qwen.accounts]]
id = "a"
token = "canary-token"
[[upstreams.qwen.accounts]]
id = "b"
token_file = "token"
[[upstreams.qwen.accounts]]
id = "c"
token = "${env:TOKEN}"
"""


def test_no_secret_is_shown(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text(SECRETIVE)
    (tmp_path / "token").write_text("canary-file")
    for flags in ((), ("--origin",), ("--json",), ("--json", "--origin")):
        answer = run("config", "show", *flags, cwd=tmp_path, TOKEN="canary-env")
        assert answer.returncode == 0, answer.stderr
        assert CANARY not in answer.stdout + answer.stderr
        assert "upstreams.qwen.accounts[2].id" in answer.stdout


def test_each_value_has_its_origin(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[server]\nport = 1\nmax_body_mb = 2\n[models.aliases]\n"a.b" = "c"\n'
    )
    variables = {"GATEWAY_SERVER__PORT": "3", "GATEWAY_CONFIG": "mine.toml"}
    shown = json.loads(run("config", "show", "--json", "--origin", cwd=tmp_path, **variables).stdout)
    found = {one["key"]: (one["value"], one["origin"]) for one in shown}
    assert found["server.port"] == (3, "GATEWAY_SERVER__PORT")
    assert found["server.max_body_mb"] == (2, "mine.toml")
    assert found["server.host"] == ("localhost", "default")
    assert found["models.aliases.a.b"] == ("c", "mine.toml")


def test_the_example_is_valid_sets_nothing_and_names_every_setting(tmp_path: Path) -> None:
    assert run("config", "init", cwd=tmp_path).returncode == 0
    written = (tmp_path / "gateway.toml").read_text()
    assert not any(tomllib.loads(written).values())
    by_hand = re.compile(r"\n# The providers.*?(?=\n\[models\])", re.DOTALL)
    uncommented = re.sub(r"^# (?=[a-z_]+ = )", "", by_hand.sub("", written), flags=re.MULTILINE)
    defaults = json.loads(msgspec.json.encode(Settings()))
    assert tomllib.loads(uncommented) | {"upstreams": {}, "routes": {}} == defaults


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "gateway.toml").write_text("mine")
    assert run("config", "init", cwd=tmp_path).returncode == 2
    assert (tmp_path / "gateway.toml").read_text() == "mine"


def test_the_schema_describes_upstreams_as_they_are_written() -> None:
    definitions = json.loads(run("config", "schema").stdout)["$defs"]
    assert "token_file" in definitions["AccountSettings"]["properties"]
    assert definitions["ServerSettings"]["additionalProperties"] is False
    described = [
        name for name, one in definitions["ServerSettings"]["properties"].items() if "description" not in one
    ]
    assert described == []


def test_the_schema_ties_an_upstreams_options_to_its_kind() -> None:
    definitions = json.loads(run("config", "schema").stdout)["$defs"]
    upstream = definitions["UpstreamSettings"]
    assert upstream["unevaluatedProperties"] is False
    options = {
        choice["if"]["properties"]["kind"]["const"]: choice["then"]["$ref"].rpartition("/")[2]
        for choice in upstream["allOf"]
    }
    assert sorted(options) == upstream["properties"]["kind"]["enum"]
    assert "token_carrier" in definitions[options["qwen_chat"]]["properties"]
    assert not any("additionalProperties" in definitions[name] for name in options.values())
