"""What the modules say they export is what they hold."""

import importlib
import pkgutil

import pytest

import gateway.plugin_api

MODULES = [
    "gateway.plugin_api",
    *(module.name for module in pkgutil.walk_packages(gateway.plugin_api.__path__, "gateway.plugin_api.")),
]


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted_unique_and_true(name: str) -> None:
    module = importlib.import_module(name)
    assert len(set(module.__all__)) == len(module.__all__)
    assert all(hasattr(module, member) for member in module.__all__)


@pytest.mark.parametrize("name", ["protocols", "http", "sse"])
def test_the_authors_page_leaves_nothing_out(name: str) -> None:
    module = importlib.import_module(f"gateway.plugin_api.{name}")
    assert set(module.__all__) <= set(gateway.plugin_api.__all__)
