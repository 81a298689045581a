"""The command ``precsim``: sweeps, stores, fits, designs, plans, public tables and checkpoints from a terminal.

Each command is the module of its name. Words stand for objects only here: ``law_words`` reads laws, ``grid_file`` and
``grid_values`` read jobs (``positions`` says where in the file a value stands), and everything below takes values.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from precsim import __version__

__all__ = ["main"]


#: Module → what its command does.
COMMANDS = {
    "sweep": "train the jobs of a grid file",
    "ptq": "quantize the models of stored runs in another way",
    "runs": "look into a store of runs, export it, merge stores",
    "fit": "fit a law to a table of runs",
    "gaps": "what low precision loses, from pairs of runs",
    "compare": "judge laws on held-out runs",
    "design": "which runs to make for a budget",
    "plan": "parameters, tokens and widths for a budget",
    "weights": "what number formats would do to the weights of a checkpoint",
    "data": "public tables of training runs: list them, fetch one",
    "course": "a class and its grades",
}


class _Parser(argparse.ArgumentParser):
    """A parser whose errors name the command, what was wrong with it, and where help is."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[override]
        """Refuse ``--option=--``, of which argparse makes an empty list, whatever the option's type is."""
        for word in args or ():
            if word.startswith("--") and word.endswith("=--") and word.count("=") == 1:
                self.error(f"{word[:-3]} needs a value, got '--'")
        return super().parse_known_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n(see {self.prog} --help)\n")


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser of a command line: all commands by name, and the options of the one that is asked for.

    Only that one's module is loaded, so that ``precsim --help`` costs nothing beyond Python, and each command only
    what it needs: measured beside NumPy's 0.15 s of processor time, ``fit`` and ``plan`` 0.3 s, ``sweep``, which
    needs JAX, 1.1 s.
    """
    top = _Parser(prog="precsim", description="How many bits, for what, and when: sweeps, fits and plans.")
    top.add_argument("--version", action="version", version=f"precsim {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    asked = next((word for word in words if not word.startswith("-")), None)
    for name, what in COMMANDS.items():
        command = commands.add_parser(name, help=what)
        if name == asked:
            importlib.import_module(f"precsim.cli.{name}").add_options(command)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status is 0, 1 for a result that cannot be used, 2 for input that cannot.

    Examples
    --------
    >>> main(["--version"])
    precsim ...
    0
    """
    words = sys.argv[1:] if argv is None else list(argv)
    try:
        options = parser(words).parse_args(words)
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
