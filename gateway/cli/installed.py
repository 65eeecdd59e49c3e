"""What is installed: this version and its plugins."""

import rich_click as click

from gateway import __version__
from gateway.cli.options import as_json
from gateway.cli.printing import print_json, print_table

__all__ = ["plugins", "version"]


@click.command()
@as_json
def plugins(as_json: bool) -> None:
    """List the installed plugins, without importing them."""
    from gateway.plugin_api.registry import Registry

    found = Registry().plugins()
    if as_json:
        print_json(found)
    else:
        columns = ("group", "name", "distribution", "version", "target")
        print_table(columns, [[getattr(plugin, name) for name in columns] for plugin in found])


@click.command()
@as_json
def version(as_json: bool) -> None:
    """Print the version."""
    if as_json:
        print_json({"version": __version__})
    else:
        click.echo(__version__)
