"""A provider for the tests of a module."""

from collections.abc import Iterator

import pytest

from tests.process import Provider, providing


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with providing(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture
def healthy(provider: Provider) -> Iterator[Provider]:
    """The provider, without faults before and after the test."""
    provider.heal()
    yield provider
    provider.heal()
