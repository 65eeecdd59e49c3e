"""The command line: `gateway serve` and everything an operator asks for.

Exit codes: 0 done or yes, 1 the answer is no, 2 it could not be done. Data goes to stdout, words to stderr.
"""

from gateway.cli.program import main

__all__ = ["main"]
