"""The stores that gateways are killed over."""

import pytest

from tests.state.valkey_process import ALWAYS, ValkeyProcess


@pytest.fixture
def valkey_url(tmp_path):
    """Return the URL of an empty server that keeps durable writes."""
    process = ValkeyProcess(tmp_path / "valkey", **ALWAYS)
    yield process.url
    process.kill()
