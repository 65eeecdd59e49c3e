"""The documents say what the code does: settings, metrics, error codes, routes, contracts."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client import CollectorRegistry

from gateway.config import KeySettings, Settings
from gateway.generation import errors
from gateway.plugin_api import protocols
from gateway.plugin_api.registry import COMMANDS, UPSTREAMS, Registry
from gateway.telemetry.metrics import Metrics
from gateway.web.operations import OPERATIONS

ROOT = Path(__file__).parent.parent


def text(name: str) -> str:
    return (ROOT / name).read_text("utf-8")


def settings_of(kind: Any, prefix: str = "") -> list[str]:
    """Return the path of every key below a Struct; tables that users name themselves end a path."""
    paths = []
    for field in msgspec.structs.fields(kind):
        path = f"{prefix}{field.name}"
        nested = (
            field.type if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct) else None
        )
        paths += settings_of(nested, f"{path}.") if nested else [path]
    return paths


@pytest.mark.parametrize("path", [path for path in settings_of(Settings) if path != "upstreams"])
def test_every_setting_is_documented(path: str) -> None:
    assert f"`{path}`" in text("docs/configuration.md")


@pytest.mark.parametrize("key", [field.name for field in msgspec.structs.fields(KeySettings)])
def test_every_key_setting_is_documented(key: str) -> None:
    assert f"`{key}`" in text("docs/configuration.md")


@pytest.mark.parametrize("kind", Registry().names(UPSTREAMS))
def test_every_upstream_setting_is_documented(kind: str) -> None:
    plugin = Registry()._load(UPSTREAMS, kind)
    section = next(
        line for line in text("docs/configuration.md").splitlines() if f'`kind = "{kind}"`' in line
    )
    missing = [f.name for f in msgspec.structs.fields(plugin.Settings) if f"`{f.name}`" not in section]
    assert missing == []


def test_every_documented_setting_exists() -> None:
    known = set(settings_of(Settings))
    first_cells = re.findall(r"^\| `([a-z_]+\.[a-z_]+)`", text("docs/configuration.md"), re.MULTILINE)
    assert [cell for cell in first_cells if cell not in known] == []


def metric_names() -> list[str]:
    registry: CollectorRegistry = Metrics().registry
    return sorted(
        f"{family.name}_total" if family.type == "counter" else family.name for family in registry.collect()
    )


@pytest.mark.parametrize("name", metric_names())
def test_every_metric_is_documented(name: str) -> None:
    assert f"`{name}`" in text("docs/operations.md")


def test_every_documented_metric_exists() -> None:
    documented = set(re.findall(r"`((?:gateway|gen_ai)_[a-z_]+)`", text("docs/operations.md")))
    assert documented - set(metric_names()) == set()


def error_codes() -> set[str]:
    named = {vars(errors)[name].code for name in errors.__all__ if hasattr(vars(errors)[name], "code")}
    given = {
        code
        for path in [*(ROOT / "gateway").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
        for code in re.findall(r'(?<![a-z_])code="([a-z_]+)"', path.read_text("utf-8"))
        if "gateway_sandbox" not in path.parts
    }
    return named | given


@pytest.mark.parametrize("code", sorted(error_codes()))
def test_every_error_code_is_documented(code: str) -> None:
    assert f"`{code}`" in text("docs/errors.md")


def test_every_address_is_in_the_readme() -> None:
    readme = text("README.md")
    routes = [f"{route.method} {route.path}" for dialect in Registry().dialects() for route in dialect.routes]
    operators = [f"{operation.method} {operation.path}" for operation in OPERATIONS]
    assert [route for route in (*routes, *operators) if f"`{route}`" not in readme] == []


def test_every_plugin_is_in_the_readme() -> None:
    readme = text("README.md")
    plugins = [
        plugin for plugin in Registry().plugins() if plugin.group not in ("gateway.dialects", COMMANDS)
    ]
    assert [plugin.name for plugin in plugins if f"`{plugin.name}`" not in readme] == []


def test_every_contract_method_is_in_the_plugin_guide() -> None:
    guide = text("docs/plugins.md")
    contracts = (protocols.Generator, protocols.Upstream, protocols.TaskUpstream, protocols.FileUpstream)
    methods = {name for contract in contracts for name in vars(contract) if not name.startswith("_")}
    callables = {name for name in methods if any(callable(getattr(c, name, None)) for c in contracts)}
    assert [name for name in sorted(callables) if not re.search(rf"\b{name}\b", guide)] == []


def test_no_link_in_the_documents_is_dead() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
        assert [link for link in links if not (page.parent / link).exists()] == [], page.name
