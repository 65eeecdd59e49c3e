"""The configuration: precedence, secrets, and errors that name the key."""

import gc
import sys
from pathlib import Path
from types import ModuleType

import pytest

from gateway.config import ConfigError, KeyDigest, Settings, load_configuration, load_settings


def load(text: str, tmp_path: Path, **environ: str) -> Settings:
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    return load_settings(path, environ)


def test_no_file_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_settings(environ={}) == Settings()


def test_file_in_the_working_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gateway.toml").write_text("[server]\nport = 4000\n")
    assert load_settings(environ={}).server.port == 4000


def test_environment_wins_over_the_file(tmp_path: Path) -> None:
    settings = load(
        "[server]\nport = 4000\n", tmp_path, GATEWAY_SERVER__PORT="5000", GATEWAY_STATE__URL="memory://"
    )
    assert (settings.server.port, settings.state.url) == (5000, "memory://")


def test_accounts_are_sorted_into_ours_and_the_plugins(tmp_path: Path) -> None:
    secret_file = tmp_path / "token"
    secret_file.write_text("from-file\n")
    text = f"""
    [upstreams.qwen]
    kind = "qwen_chat"
    base_url = "https://chat.qwen.ai"
    [[upstreams.qwen.accounts]]
    id = "a"
    token = "${{env:TOKEN}}"
    concurrency = 2
    region = "sg"
    [[upstreams.qwen.accounts]]
    id = "b"
    token_file = "{secret_file}"
    """
    upstream = load(text, tmp_path, TOKEN="from-env").upstreams["qwen"]
    first, second = upstream.accounts
    assert upstream.options == {"base_url": "https://chat.qwen.ai"}
    assert (first.secret.reveal(), first.concurrency, first.options) == ("from-env", 2, {"region": "sg"})
    assert second.secret.reveal() == "from-file"


def test_an_upstream_without_accounts_has_one_without_a_secret(tmp_path: Path) -> None:
    upstream = load('[upstreams.local]\nkind = "openai_compatible"\n', tmp_path).upstreams["local"]
    assert [(account.id, bool(account.secret)) for account in upstream.accounts] == [("default", False)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[server]\nprot = 1", ["server.prot", "server.port"]),
        ("[sever]\nport = 1", ["sever", "server"]),
        ('[server]\nport = "x"', ["server.port", "int"]),
        ("[server]\nport = 70000", ["server.port"]),
        ("[server]\nworkers = 2", ["workers", "valkey"]),
        ("not toml", ["TOML"]),
        ('[[auth.keys]]\nname = "a"', ["auth.keys[0]", "key_sha256"]),
        ('[[auth.keys]]\nname = "a"\nkye = "b"', ["kye", "key"]),
        ('[[auth.keys]]\nname="a"\nkey="x"\n[[auth.keys]]\nname="a"\nkey="y"', ["name of its own"]),
        ('[state]\nurl = "${env:NOT_SET}"', ["NOT_SET"]),
        ('[upstreams.q]\nkind="k"\n[[upstreams.q.accounts]]\nid="a"\ntoken="x"\napi_key="y"', ["twice"]),
        (
            '[upstreams.q]\nkind="k"\n[[upstreams.q.accounts]]\nid="a"\n[[upstreams.q.accounts]]\nid="a"',
            ["q.accounts"],
        ),
        ('[upstreams.q]\nkind="k"\n[[upstreams.q.accounts]]\nid="a"\ntoken_file="/nowhere"', ["token_file"]),
        ('[upstreams.q]\nkind="k"\nhttp_client="curl"', ["upstreams", "http_client", "curl"]),
        ('[routes]\nt2t = ["qwne"]\n[upstreams.qwen]\nkind="k"', ["routes.t2t", "qwen"]),
        ("[tasks]\npoll_interval_seconds = 0", ["poll_interval_seconds"]),
    ],
)
def test_errors_name_the_key_and_what_to_do(text: str, words: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text, tmp_path)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_client_that_is_not_installed_cannot_be_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = '[upstreams.q]\nkind="k"\nhttp_client="httpx-aiohttp"'
    assert load(text, tmp_path).upstreams["q"].http_client == "httpx-aiohttp"
    monkeypatch.setitem(sys.modules, "httpx_aiohttp", None)
    with pytest.raises(ConfigError, match=r"upstreams\.q\.http_client.*qwen-gateway\[aiohttp\]"):
        load(text, tmp_path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(tmp_path / "nowhere.toml", {})


def test_secrets_never_show_themselves(tmp_path: Path) -> None:
    settings = load('[[auth.keys]]\nname = "a"\nkey = "sk-canary"\n', tmp_path)
    assert "sk-canary" not in repr(settings)
    assert settings.auth.keys[0].key == KeyDigest("sk-canary")


def test_client_keys_are_nowhere_in_what_is_kept_of_the_configuration(tmp_path: Path) -> None:
    config = tmp_path / "gateway.toml"
    config.write_text('[[auth.keys]]\nname = "a"\nkey = "${env:CANARY}"\n')
    environ = {"CANARY": "sk-canary-in-memory"}
    kept = load_configuration(config, environ)
    assert "sk-canary-in-memory" not in texts_within(kept)
    assert {"a", str(config)} <= texts_within(kept)


def texts_within(value: object) -> set[str]:
    """Return every text that can be reached from a value."""
    seen, texts, queue = set(), set(), [value]
    while queue:
        thing = queue.pop()
        if id(thing) in seen or isinstance(thing, type | ModuleType) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, str):
            texts.add(thing)
        slots = [getattr(thing, name) for name in getattr(thing, "__slots__", ()) if hasattr(thing, name)]
        queue += [*gc.get_referents(thing), *slots]
    return texts
