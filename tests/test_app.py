"""The house as a whole: it opens, refuses what it cannot be built from, and closes without a trace."""

import asyncio

import pytest

from gateway.app import open_gateway
from gateway.config import ConfigError
from gateway.plugin_api.registry import PluginError
from tests.serving import settings_in

pytestmark = pytest.mark.anyio


async def test_without_upstreams_the_sandbox_serves(tmp_path):
    async with open_gateway(settings_in(tmp_path)) as gateway:
        assert gateway.sandbox
        assert await gateway.readiness.problem() == ""


async def test_with_an_upstream_it_does_not(tmp_path):
    toml = '[upstreams.local]\nkind = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"'
    async with open_gateway(settings_in(tmp_path, toml)) as gateway:
        assert not gateway.sandbox


async def test_nothing_runs_on_after_it_has_closed(tmp_path):
    before = asyncio.all_tasks()
    async with open_gateway(settings_in(tmp_path)):
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() == before


async def test_it_opens_again_over_the_same_state(tmp_path):
    for _ in range(2):
        async with open_gateway(settings_in(tmp_path)) as gateway:
            assert await gateway.readiness.problem() == ""


@pytest.mark.parametrize(
    ("toml", "environ", "word"),
    [
        ('[upstreams.x]\nkind = "qwen_chatt"', {}, "did you mean qwen_chat"),
        ('[upstreams.x]\nkind = "qwen_chat"\nbase_ur = "https://x"', {}, "upstreams.x.base_ur"),
        ("", {"GATEWAY_STATE__URL": "mysql://x"}, "state.url"),
        ("", {"GATEWAY_MEDIA__STORE": "ftp://x/y"}, "media.store"),
        ('[[auth.keys]]\nname = "a"\nkey_file = "/nowhere/key"', {}, "key file of a"),
    ],
)
async def test_what_cannot_be_built_is_said_in_one_sentence(tmp_path, toml, environ, word):
    before = asyncio.all_tasks()
    with pytest.raises(ConfigError) as caught:
        async with open_gateway(settings_in(tmp_path, toml, **environ)):
            raise AssertionError("it opened")
    assert word in str(caught.value)
    assert "\n" not in str(caught.value)
    assert asyncio.all_tasks() == before, "what was open already was left open"


async def test_a_plugin_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(PluginError, match="nothing_like_it"):
        async with open_gateway(settings_in(tmp_path, '[plugins]\nload = ["nothing_like_it"]')):
            raise AssertionError("it opened")
