"""No generator and no upstream without its contract."""

from pathlib import Path

import pytest

from gateway.plugin_api.registry import GENERATORS, UPSTREAMS, Registry

INSTALLED = Registry()
HERE = Path(__file__).parent


@pytest.mark.parametrize("name", [*INSTALLED.names(GENERATORS), *INSTALLED.names(UPSTREAMS)])
def test_every_plugin_of_ours_has_a_contract_of_its_own(name: str) -> None:
    source = (HERE / f"test_{name}.py").read_text("utf-8")
    assert "(GeneratorConformance)" in source or "(UpstreamConformance)" in source


@pytest.mark.parametrize("name", INSTALLED.names(GENERATORS))
def test_generators_are_installed_under_their_chat_type(name: str) -> None:
    assert INSTALLED.generator(name).chat_type == name
