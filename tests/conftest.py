"""What every test shares."""

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio only: the gateway runs on nothing else."""
    return "asyncio"
