"""The guide's two test scripts against real gateways, good and bad."""

import json
import re
from collections.abc import Iterator

import pytest

from tests.cli.running import run
from tests.process import FAST_SANDBOX, Running, running


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("gateway"), FAST_SANDBOX) as found:
        yield found


def test_features_pass_with_what_was_downloaded(gateway: Running) -> None:
    answer = run("selftest", "features", "--url", gateway.url)
    assert answer.returncode == 0, answer.stdout
    assert "PNG of" in answer.stdout
    assert "MP4 of" in answer.stdout
    assert "all three generation types work" in answer.stderr


def test_both_ways_of_polling_are_compared(gateway: Running) -> None:
    answer = run("selftest", "video-polling", "--url", gateway.url, "--json")
    assert answer.returncode == 0, answer.stdout
    server, client = json.loads(answer.stdout)
    assert "1 request" in server["found"]
    assert re.search(r"[2-9] requests, the task's id after \d", client["found"])
    assert client["seconds"] >= 2


def test_a_failure_is_exit_code_1_and_says_which(gateway: Running) -> None:
    answer = run("selftest", "features", "--url", gateway.url, "--model", "qwen3-coder-plus", "--json")
    assert answer.returncode == 1
    problems = {one["test"]: one["problem"] for one in json.loads(answer.stdout)}
    assert problems["chat"] == ""
    assert "qwen3-coder-plus" in problems["image"]
    assert "2 of 3" in answer.stderr


def test_no_gateway_is_exit_code_1() -> None:
    answer = run("selftest", "features", "--url", "http://127.0.0.1:9")
    assert answer.returncode == 1
    assert answer.stdout.count("nothing answers") == 3
