"""`gateway keys create` and `gateway keys hash`."""

import json
import subprocess
import tomllib

import pytest

from gateway.config import KeySettings
from gateway.web.auth import AuthSettings, KeyRing
from tests.cli.running import GATEWAY, clean_environment, run


def identify(row: dict[str, object], key: str) -> str:
    ring = KeyRing(AuthSettings(keys=(KeySettings(**row),)))  # type: ignore[arg-type]
    return ring.identify({b"authorization": b"Bearer " + key.encode()}).name


def test_the_row_goes_to_stdout_and_the_key_to_stderr_once() -> None:
    answer = run("keys", "create", "alice", "--admin")
    (row,) = tomllib.loads(answer.stdout)["auth"]["keys"]
    key = answer.stderr.split()[-1]
    assert identify(row, key) == "alice"
    assert row["admin"] is True
    assert key not in answer.stdout


def test_json_has_all_of_it_and_two_keys_differ() -> None:
    first, second = (json.loads(run("keys", "create", "a", "--json").stdout) for _ in range(2))
    assert first["key"] != second["key"]
    assert identify({"name": "a", "key_sha256": first["key_sha256"]}, first["key"]) == "a"


@pytest.mark.parametrize("name", ["", "two words", "anonymous"])
def test_a_name_that_cannot_own_anything_is_refused(name: str) -> None:
    answer = run("keys", "create", name)
    assert (answer.returncode, answer.stdout) == (2, "")


@pytest.mark.parametrize(("typed", "code"), [("sk-mine\n", 0), ("sk-mine", 0), ("\n", 2), ("", 2)])
def test_a_piped_key_is_hashed(typed: str, code: int) -> None:
    answer = subprocess.run(
        [GATEWAY, "keys", "hash"],
        input=typed,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert answer.returncode == code
    if code == 0:
        assert identify({"name": "a", "key_sha256": answer.stdout.strip()}, "sk-mine") == "a"
