"""One gateway and one provider for all clients of a module."""

from collections.abc import Iterator

import pytest

from tests.process import Provider, Running, providing, running

CONFIG = """
[server]
max_body_mb = 4
[files]
max_mb = 1
[[auth.keys]]
name = "alice"
key = "sk-alice"
admin = true
[[auth.keys]]
name = "bob"
key = "sk-bob"
chat_types = ["t2t"]
models = ["qwen3-max"]
"""


@pytest.fixture(scope="module")
def provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with providing(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture(scope="module")
def keyed(provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway with two accounts and two client keys."""
    toml = provider.configured("token-one", "token-two", more=CONFIG)
    with running(tmp_path_factory.mktemp("keyed"), toml) as gateway:
        yield gateway


@pytest.fixture
def healthy(provider: Provider) -> Iterator[Provider]:
    """The provider, without faults before and after the test."""
    provider.heal()
    yield provider
    provider.heal()
