"""What `gateway check` and `gateway doctor` find, and how it is shown."""

from collections.abc import Callable, Sequence

import msgspec

from gateway.cli.printing import print_json, print_table
from gateway.cli.problems import NO, Problem, as_problem

__all__ = ["Finding", "look", "report"]


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    what: str
    well: bool
    detail: str


def look(what: str, check: Callable[[], str]) -> Finding:
    """Run a check that says what it found, or raises an expected problem."""
    try:
        return Finding(what, True, check())
    except Exception as error:
        problem = as_problem(error)
        if problem is None:
            raise
        return Finding(what, False, str(problem))


def report(findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print findings. Raises `Problem` if anything is wrong."""
    if as_json:
        print_json(findings)
    else:
        print_table(
            ("", "what", "found"), [("ok" if one.well else "WRONG", one.what, one.detail) for one in findings]
        )
    wrong = [one.what for one in findings if not one.well]
    if wrong:
        raise Problem(f"wrong: {', '.join(wrong)}", NO)
