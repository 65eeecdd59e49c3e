"""Documents that are generated from the code, and kept beside it."""

from pathlib import Path

import rich_click as click

from gateway.cli.options import check_file, output_file
from gateway.cli.problems import NO, Problem

__all__ = ["deliver", "openapi"]


@click.command()
@output_file
@check_file
def openapi(output: Path | None, check: Path | None) -> None:
    """Print the OpenAPI document of this installation."""
    from gateway.plugin_api.registry import Registry
    from gateway.web.openapi import build_document, encode_document

    deliver(encode_document(build_document(Registry().dialects())), output, check)


def deliver(document: bytes, output: Path | None, check: Path | None) -> None:
    """Print a document, write it to `output`, or compare it with `check`.

    Raises:
        Problem: the file cannot be used, or differs from the document.
    """
    try:
        if check is not None:
            _compare(document, check)
        elif output is not None:
            output.parent.mkdir(parents=True, exist_ok=True)
            output.write_bytes(document)
        else:
            click.echo(document, nl=False)
    except OSError as error:
        raise Problem(f"{error.filename}: {error.strerror}") from error


def _compare(document: bytes, check: Path) -> None:
    kept = check.read_bytes().splitlines()
    for number, (here, there) in enumerate(zip([*document.splitlines(), b""], [*kept, b""], strict=False), 1):
        if here != there:
            raise Problem(f"{check} differs from the code in line {number}: generate it anew", NO)
