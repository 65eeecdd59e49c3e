"""What every test shares."""

import os

import pytest
from hypothesis import HealthCheck, settings


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio only: the gateway runs on nothing else."""
    return "asyncio"


# A busy machine draws examples slowly, which says nothing about the code. What CI tries is the same each
# time, so that a change is judged by itself; everybody else's runs go on searching.
settings.register_profile(
    "gateway",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("gateway")
