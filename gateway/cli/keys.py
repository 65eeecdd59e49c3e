"""`gateway keys`: client keys are made here and written into the configuration as hashes."""

import sys
from typing import TYPE_CHECKING, Final

import rich_click as click

from gateway.cli.options import as_json, to_gateway
from gateway.cli.printing import print_json, print_table, say
from gateway.cli.problems import Problem

if TYPE_CHECKING:
    from gateway.cli.remote import Remote

__all__ = ["keys"]

_ROUTES: Final = "/api/admin/keys"
_ROW: Final = '\n[[auth.keys]]\nname = "{name}"\nkey_sha256 = "{digest}"{admin}'


@click.group()
def keys() -> None:
    """Make client keys; look at those of a running gateway, take one back."""


@keys.command()
@click.argument("name")
@click.option("--admin", is_flag=True, help="The key sees all of /api/status and may use /api/admin.")
@as_json
def create(name: str, admin: bool, as_json: bool) -> None:
    """Make a key: its row for gateway.toml goes to stdout, the key itself is shown once, on stderr."""
    from gateway.config import AuthSettings, KeySettings, digest_of
    from gateway.web.auth import KeyRing, new_key

    key = new_key()
    digest = digest_of(key).hex()
    KeyRing(AuthSettings(keys=(KeySettings(name=name, key_sha256=digest, admin=admin),)))
    if as_json:
        print_json({"name": name, "key": key, "key_sha256": digest, "admin": admin})
        return
    click.echo(_ROW.format(name=name, digest=digest, admin="\nadmin = true" if admin else ""))
    say(f"the key of {name}, which is kept nowhere: {key}")


@keys.command("list")
@as_json
@to_gateway
def list_keys(gateway: "Remote", as_json: bool) -> None:
    """List the keys of a running gateway by name, revoked ones too."""
    found = gateway.get(_ROUTES)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["key"]["name"], "revoked" if one["revoked"] else "", "admin" if one["key"]["admin"] else "")
        for one in found
    ]
    print_table(("name", "revoked", "admin"), rows)


@keys.command()
@click.argument("name")
@to_gateway
def revoke(gateway: "Remote", name: str) -> None:
    """Refuse a key from now on, in every replica."""
    gateway.post(f"{_ROUTES}/revoke", {"name": name})
    say(f"the key of {name} is refused; a new one under this name keeps its objects")


@keys.command()
@click.argument("name")
@to_gateway
def restore(gateway: "Remote", name: str) -> None:
    """Take a revoked key again."""
    gateway.post(f"{_ROUTES}/restore", {"name": name})
    say(f"the key of {name} is taken again")


@keys.command("hash")
def hash_key() -> None:
    """Print the key_sha256 of a key that is typed in, or piped."""
    from gateway.config import digest_of

    key = click.prompt("key", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline()
    if not key.strip():
        raise Problem("an empty key is no key")
    click.echo(digest_of(key.strip()).hex())
