"""The root of all commands: ours, and those that plugins add."""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

import rich_click as click
from click.exceptions import Exit

from gateway.cli.accounts import accounts
from gateway.cli.checking import check, doctor
from gateway.cli.configuring import config
from gateway.cli.documents import openapi
from gateway.cli.health import healthcheck
from gateway.cli.installed import plugins, version
from gateway.cli.keys import keys
from gateway.cli.models import models
from gateway.cli.printing import say
from gateway.cli.problems import as_problem
from gateway.cli.selftest import selftest
from gateway.cli.serving import serve
from gateway.cli.tasks import tasks

__all__ = ["Program", "main"]

_PLUGIN_COMMANDS = "gateway.commands"


class Program(click.RichGroup):
    """Our commands and the plugins'. A plugin is imported when its command runs, not to list it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return every name: ours in the order of the help page, then the plugins'."""
        return list(dict.fromkeys([*self.commands, *(entry.name for entry in _plugin_commands())]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command of ours, or the place of a plugin's."""
        found = super().get_command(ctx, cmd_name)
        return found or next((_Plugged(one) for one in _plugin_commands() if one.name == cmd_name), None)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command to run."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, (command.load() if isinstance(command, _Plugged) else command), rest

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what may go wrong is said in one line."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.Abort, Exit):
            raise
        except Exception as error:
            problem = as_problem(error)
            if problem is None:
                raise
            say(f"gateway: {' '.join(str(problem).split())}")
            ctx.exit(problem.exit_code)


class _Plugged(click.RichCommand):
    """Stands in the list for a command that is not imported yet."""

    def __init__(self, entry: EntryPoint) -> None:
        shipped = f"{entry.dist.name} {entry.dist.version}" if entry.dist else "a plugin"
        super().__init__(name=entry.name, short_help=f"Added by {shipped}.")

    def load(self) -> click.Command:
        """Import the command."""
        from gateway.plugin_api.registry import Registry

        command: click.Command = Registry().command(self.name or "")
        return command


def _plugin_commands() -> list[EntryPoint]:
    return sorted(entry_points(group=_PLUGIN_COMMANDS), key=lambda entry: entry.name)


@click.group(
    cls=Program,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="An OpenAI-compatible gateway for Qwen's chat, images and videos.\n\nWithout a command it serves.",
)
@click.pass_context
def program(context: click.Context) -> None:
    """Serve, unless a command says otherwise."""
    if context.invoked_subcommand is None:
        context.invoke(serve)


_COMMANDS = (
    *(serve, check, doctor, config),
    *(accounts, keys, models, tasks, plugins),
    *(selftest, healthcheck, openapi, version),
)
for _command in _COMMANDS:
    program.add_command(_command)


def main() -> None:
    """Run the command line."""
    program(prog_name="gateway")
