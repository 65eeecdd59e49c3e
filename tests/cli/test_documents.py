"""Generated documents: printed, written, compared."""

import json
from pathlib import Path

import pytest

from tests.cli.running import run

DOCUMENTS = [("openapi",), ("config", "schema")]


@pytest.mark.parametrize("command", DOCUMENTS)
def test_a_written_document_is_the_printed_one_and_compares_equal(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    kept = tmp_path / "folder" / "document.json"
    assert run(*command, "--output", str(kept)).returncode == 0
    assert run(*command).stdout == kept.read_text()
    assert run(*command, "--check", str(kept)).returncode == 0


@pytest.mark.parametrize("command", DOCUMENTS)
def test_a_difference_is_exit_code_1_and_names_the_line(command: tuple[str, ...], tmp_path: Path) -> None:
    kept = tmp_path / "document.json"
    run(*command, "--output", str(kept))
    lines = kept.read_text().splitlines(keepends=True)
    for changed in (lines[:-1], [*lines, "more"], [*lines[:4], " ", *lines[5:]]):
        kept.write_text("".join(changed))
        answer = run(*command, "--check", str(kept))
        assert (answer.returncode, answer.stdout) == (1, "")
        assert "differs from the code in line" in answer.stderr


def test_a_missing_file_is_exit_code_2(tmp_path: Path) -> None:
    answer = run("openapi", "--check", str(tmp_path / "nowhere.json"))
    assert (answer.returncode, answer.stderr.count("\n")) == (2, 1)


def test_the_openapi_document_has_every_dialects_routes() -> None:
    paths = json.loads(run("openapi").stdout)["paths"]
    assert {"/api/chat", "/v1/chat/completions", "/v1/images/generations", "/livez"} <= paths.keys()
