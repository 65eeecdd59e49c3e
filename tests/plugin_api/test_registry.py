"""Real distributions on `sys.path`: nothing of the installation machinery is replaced."""

import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

from gateway.config import ConfigError, UpstreamSettings
from gateway.generation.errors import InvalidRequest
from gateway.plugin_api import Secret, UpstreamContext
from gateway.plugin_api.registry import (
    COMMANDS,
    DIALECTS,
    GENERATORS,
    UPSTREAMS,
    PluginError,
    PluginInfo,
    Registry,
)
from gateway.transport import Transport

pytestmark = pytest.mark.anyio
Install = Callable[..., None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution with one module; `entries` are `group=name:target` lines by group."""

    def install(distribution: str, version: str, module: str, source: str, **entries: str) -> None:
        site = tmp_path / distribution
        info = site / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        lines = [f"[gateway.{group}]\n{entry}\n" for group, entry in entries.items()]
        (info / "entry_points.txt").write_text("\n".join(lines))
        (site / f"{module}.py").write_text(dedent(source))
        monkeypatch.syspath_prepend(site)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


SINGER = """
    class Singer:
        chat_type = "t2song"
    made = 0
"""
RADIO = """
    from pathlib import Path
    import msgspec
    from gateway.plugin_api import Secret

    class Nested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        loudness: int = 1

    class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
        base_url: str
        station: Nested = Nested()
        passphrase: Secret = Secret()
        folder: Path = Path()

    class Radio:
        Settings = Settings

        @classmethod
        async def create(cls, settings, context):
            radio = cls()
            radio.settings, radio.context = settings, context
            return radio
"""


def test_listing_imports_nothing(install: Install) -> None:
    install("acme-song", "1.2", "acme_song", SINGER, generators="t2song = acme_song:Singer")
    registry = Registry(["t2song"])
    assert registry.plugins() == (
        PluginInfo("gateway.generators", "t2song", "acme-song", "1.2", "acme_song:Singer"),
    )
    assert registry.names(GENERATORS) == ("t2song",)
    assert registry.names(UPSTREAMS) == registry.names(DIALECTS) == ()
    assert "acme_song" not in sys.modules


def test_a_generator_is_made_once(install: Install) -> None:
    install("acme-song", "1.2", "acme_song", SINGER, generators="t2song = acme_song:Singer")
    registry = Registry()
    assert registry.generator("t2song").chat_type == "t2song"
    assert registry.generator("t2song") is registry.generator("t2song")


def test_dialects_and_commands_come_by_the_same_door(install: Install) -> None:
    source = "class Latin:\n    name = 'latin'\n\ndef sing(): ...\n"
    install("x", "1", "xlatin", source, dialects="latin = xlatin:Latin", commands="sing = xlatin:sing")
    registry = Registry(["latin", "sing"])
    assert [dialect.name for dialect in registry.dialects()] == ["latin"]
    assert registry.names(COMMANDS) == ("sing",)
    assert registry.command("sing").__name__ == "sing"


def test_an_unknown_chat_type_lists_the_installed_ones(install: Install) -> None:
    install("acme-song", "1.2", "acme_song", SINGER, generators="t2song = acme_song:Singer")
    with pytest.raises(InvalidRequest, match=r"t2sogn.*t2song") as caught:
        Registry(["t2song"]).generator("t2sogn")
    assert caught.value.param == "chat_type"


def test_a_duplicate_names_both_distributions(install: Install) -> None:
    install("acme-song", "1.2", "acme_song", SINGER, generators="t2song = acme_song:Singer")
    install("other-song", "3.4", "other_song", SINGER, generators="t2song = other_song:Singer")
    with pytest.raises(PluginError, match=r"t2song.*acme-song 1\.2 and other-song 3\.4"):
        Registry()


def test_a_duplicate_outside_the_allow_list_does_not_matter(install: Install) -> None:
    install("acme-song", "1.2", "acme_song", SINGER, generators="t2song = acme_song:Singer")
    install("other-song", "3.4", "other_song", SINGER, generators="t2song = other_song:Singer")
    install("third", "1", "third_one", SINGER, generators="t2hum = third_one:Singer")
    assert Registry(["t2hum"]).names(GENERATORS) == ("t2hum",)


def test_one_name_may_stand_in_two_groups(install: Install) -> None:
    entries = {"generators": "song = acme_song:Singer", "commands": "song = acme_song:Singer"}
    install("acme-song", "1.2", "acme_song", SINGER, **entries)
    assert {plugin.group for plugin in Registry(["song"]).plugins()} == {GENERATORS, COMMANDS}


def test_an_allow_list_with_a_name_that_is_not_installed(install: Install) -> None:
    install("acme-song", "1.2", "acme_song", SINGER, generators="t2song = acme_song:Singer")
    with pytest.raises(PluginError, match=r"t2sing.*did you mean t2song\?"):
        Registry(["t2sing"])


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import nothing_like_this", "ModuleNotFoundError: No module named 'nothing_like_this'"),
        ("raise RuntimeError('first line\\nsecond line')", "RuntimeError: first line$"),
        ("raise RuntimeError", "RuntimeError: $"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "AttributeError"),
    ],
)
def test_a_broken_import_says_whose_and_why_in_one_line(install: Install, source: str, reason: str) -> None:
    install("acme-broken", "0.1", "acme_broken", source, generators="t2x = acme_broken:Gone")
    with pytest.raises(PluginError, match=reason) as caught:
        Registry().generator("t2x")
    assert "acme-broken 0.1" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
async def context(tmp_path: Path) -> UpstreamContext:
    return UpstreamContext(name="fm", transport=Transport(), data_dir=tmp_path)


async def test_an_upstream_gets_its_own_settings(install: Install, context: UpstreamContext) -> None:
    install("acme-radio", "1", "acme_radio", RADIO, upstreams="radio = acme_radio:Radio")
    options = {"base_url": "http://x", "station": {"loudness": 3}, "passphrase": "pw", "folder": "there"}
    radio = await Registry().create_upstream(UpstreamSettings(kind="radio", options=options), context)
    assert radio.context is context  # type: ignore[attr-defined]
    settings = radio.settings  # type: ignore[attr-defined]
    assert (settings.base_url, settings.station.loudness) == ("http://x", 3)
    assert (settings.passphrase, settings.folder) == (Secret("pw"), Path("there"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_ulr": "http://x"}, ["upstreams.fm.base_ulr", "upstreams.fm.base_url"]),
        ({}, ["upstreams.fm", "base_url"]),
        ({"base_url": 1}, ["upstreams.fm.base_url", "str"]),
        ({"base_url": "x", "station": {"loud": 1}}, ["upstreams.fm.station.loud", "station.loudness"]),
        ({"base_url": "x", "passphrase": 1}, ["upstreams.fm.passphrase"]),
    ],
)
async def test_a_wrong_key_is_named_with_its_path(
    install: Install, context: UpstreamContext, options: dict[str, object], words: list[str]
) -> None:
    install("acme-radio", "1", "acme_radio", RADIO, upstreams="radio = acme_radio:Radio")
    with pytest.raises(ConfigError) as caught:
        await Registry().create_upstream(UpstreamSettings(kind="radio", options=options), context)
    assert all(word in str(caught.value) for word in words), str(caught.value)


async def test_an_unknown_kind_names_the_nearest(install: Install, context: UpstreamContext) -> None:
    install("acme-radio", "1", "acme_radio", RADIO, upstreams="radio = acme_radio:Radio")
    with pytest.raises(ConfigError, match=r"upstreams\.fm\.kind.*rdio.*did you mean radio\?"):
        await Registry().create_upstream(UpstreamSettings(kind="rdio"), context)


async def test_an_upstream_that_cannot_be_opened_names_who_ships_it(
    install: Install, context: UpstreamContext
) -> None:
    code = (
        "import msgspec\n"
        "class Radio:\n"
        "    class Settings(msgspec.Struct): pass\n"
        "    @classmethod\n"
        "    async def create(cls, settings, context): raise OSError('no aerial')\n"
    )
    install("acme-radio", "1", "acme_radio", code, upstreams="radio = acme_radio:Radio")
    with pytest.raises(PluginError, match=r"upstreams\.fm.*acme-radio 1.*OSError: no aerial"):
        await Registry().create_upstream(UpstreamSettings(kind="radio"), context)
