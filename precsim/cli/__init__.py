"""The command ``precsim``: sweeps, stores, fits, designs, plans and public tables from a terminal.

Words stand for objects only here: `forms` reads laws, `gridfile` reads jobs, and everything below them takes values.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the command, what was wrong with it, and where help is."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n(see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; each group adds its own."""
    from precsim import __version__
    from precsim.cli import data, design, fit, plan, runs, sweep

    top = _Parser(prog="precsim", description="How many bits, for what, and when: sweeps, fits and plans.")
    top.add_argument("--version", action="version", version=f"precsim {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    for group in (sweep, runs, fit, design, plan, data):
        group.add_to(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a result that cannot be used, 2 for input that cannot.

    Examples
    --------
    >>> main(["data", "ls", "--names"])
    chinchilla-epoch
    gemstones
    kyo-llm
    quartet-mxfp4
    quest-qat
    step-law
    0
    """
    try:
        options = parser().parse_args(argv)
    except SystemExit as stop:  # argparse has said why
        return int(stop.code or 0)
    prog = f"precsim {options.command}"
    try:
        return options.run(options) or 0
    except BrokenPipeError:  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"{prog}: stopped; what was finished is kept", file=sys.stderr)
        return 130
    except (ValueError, OSError, RuntimeError) as failure:
        if not _expected(failure):
            raise
        print(f"{prog}: {failure}", file=sys.stderr)
        return 1 if isinstance(failure, RuntimeError) else 2


def _expected(failure: Exception) -> bool:
    """Whether a failure is about the input, so that its message is the answer; a RuntimeError of a library is not."""
    if not isinstance(failure, RuntimeError):
        return True
    return type(failure).__name__ in {"FitError", "SweepError"}
