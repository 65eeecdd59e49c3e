"""What the types cannot say: rules between settings."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches
from importlib.util import find_spec
from ipaddress import ip_address

from gateway.config.errors import ConfigError
from gateway.config.settings import KeySettings, Settings

__all__ = ["check"]

_ONE_WORKER = (
    "server.workers must be 1: one process serves, so that its metrics and its drain are whole; "
    "to use more cores run more replicas that share one state.url = valkey://…"
)
_KEYS_NEEDED = (
    'server.host is reachable from outside and no keys are configured: add [[auth.keys]] ("gateway keys '
    'create" makes one), or listen on localhost'
)
_EXTRA_NEEDED = "httpx-aiohttp needs the extra: pip install 'qwen-gateway[aiohttp]'"
_Rule = tuple[Callable[[Settings], bool], str]
_RULES: tuple[_Rule, ...] = (
    (lambda s: s.server.workers == 1, _ONE_WORKER),
    (lambda s: bool(s.auth.keys) or _is_loopback(s.server.host), _KEYS_NEEDED),
    (
        lambda s: not _repeated(key.name for key in s.auth.keys),
        "auth.keys: every key needs a name of its own",
    ),
)


def check(settings: Settings) -> Settings:
    """Return settings that make sense together. Raises `ConfigError`."""
    for holds, sentence in _RULES:
        if not holds(settings):
            raise ConfigError(sentence)
    for name, upstream in settings.upstreams.items():
        if _repeated(account.id for account in upstream.accounts):
            raise ConfigError(f"upstreams.{name}.accounts: every account needs an id of its own")
        if upstream.http_client == "httpx-aiohttp" and find_spec("httpx_aiohttp") is None:
            raise ConfigError(f"upstreams.{name}.http_client: {_EXTRA_NEEDED}")
    _check_keys(settings.auth.keys)
    _check_routes(settings)
    return settings


def _check_keys(keys: tuple[KeySettings, ...]) -> None:
    for at, key in enumerate(keys):
        forms = [bool(key.key), bool(key.key_file), bool(key.key_sha256)]
        if sum(forms) != 1:
            raise ConfigError(f"auth.keys[{at}] needs exactly one of key, key_file and key_sha256")


def _check_routes(settings: Settings) -> None:
    for chat_type, tiers in settings.routes.items():
        names = {name for tier in tiers for name in ((tier,) if isinstance(tier, str) else tier)}
        for name in sorted(names - settings.upstreams.keys()):
            near = get_close_matches(name, settings.upstreams, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigError(f"routes.{chat_type} names {name}, which is not under [upstreams]{hint}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _repeated(names: Iterable[str]) -> bool:
    seen = list(names)
    return len(seen) != len(set(seen))
