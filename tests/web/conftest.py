"""What the web rooms' tests share: a real Valkey."""

import pytest

from tests.state.valkey_process import ValkeyProcess


@pytest.fixture(scope="session")
def valkey_process(tmp_path_factory):
    """Return a server that runs for the whole session."""
    process = ValkeyProcess(tmp_path_factory.mktemp("valkey"))
    yield process
    process.kill()


@pytest.fixture
def valkey(valkey_process):
    """Return that server, empty."""
    valkey_process.ask("FLUSHALL")
    return valkey_process
