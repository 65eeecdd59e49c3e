"""`gateway config`: what the configuration is, and what it could be."""

from pathlib import Path

import rich_click as click

from gateway.cli.documents import deliver
from gateway.cli.options import as_json, check_file, config_file, output_file
from gateway.cli.printing import print_json, say
from gateway.cli.problems import Problem

__all__ = ["config"]


@click.group()
def config() -> None:
    """Show, describe or begin a configuration."""


@config.command()
@config_file
@click.option("--origin", is_flag=True, help="Say where each value came from.")
@as_json
def show(config_path: Path | None, origin: bool, as_json: bool) -> None:
    """Print the settings in effect, secrets masked."""
    from gateway.cli.settings_view import list_settings
    from gateway.config import load_configuration

    shown = list_settings(load_configuration(config_path))
    if as_json:
        print_json(shown if origin else {one.key: one.value for one in shown})
        return
    width = max(len(one.line) for one in shown) if origin else 0
    for one in shown:
        click.echo(f"{one.line:{width}}  # {one.origin}" if origin else one.line)


@config.command()
@output_file
@check_file
def schema(output: Path | None, check: Path | None) -> None:
    """Print the JSON Schema of gateway.toml."""
    import msgspec

    from gateway.cli.schema import describe_settings

    document = msgspec.json.format(msgspec.json.encode(describe_settings()), indent=2)
    deliver(document + b"\n", output, check)


@config.command()
@click.argument("path", type=click.Path(path_type=Path), default="gateway.toml")
def init(path: Path) -> None:
    """Write a commented configuration to begin with; an existing file is left alone."""
    from gateway.cli.example import write_example

    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(write_example())
    except FileExistsError:
        raise Problem(f"{path} exists already") from None
    except OSError as error:
        raise Problem(f"{path}: {error.strerror}") from error
    say(f'{path} is written: name an upstream there, then "gateway check"')
