"""`inspectd`: the table of commands, and what all of them share: lazy imports, exit codes, errors as sentences.

A command's module is imported only when that command is asked for (the top-level help asks for all), so that no command
pays for another's imports. Exit codes: 0 done; 1 it could not be done; 2 wrong usage; 78 wrong configuration, or a
damaged ledger.
"""

import errno
import io
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperGroup

from inspectd import __version__
from inspectd.cli.output import printable, stderr_is_the_journal, until_reader_leaves
from inspectd.errors import InspectdError


class CommandEntry(NamedTuple):
    """Where a command is found, and the panel of the help that shows it (None: it is not shown)."""

    module: str  # in this package
    target: str  # a function, or a Typer application with commands of its own
    panel: str | None


COMMANDS = {
    "init": CommandEntry("init", "init", "Set up"),
    "config": CommandEntry("config", "app", "Set up"),
    "db": CommandEntry("db", "app", "Set up"),
    "doctor": CommandEntry("doctor", "doctor", "Set up"),
    "train": CommandEntry("train", "train", "Set up"),
    "evaluate": CommandEntry("evaluate", "evaluate", "Set up"),
    "tune": CommandEntry("tune", "tune", "Set up"),
    "model": CommandEntry("model", "app", "Set up"),
    "run": CommandEntry("run", "run", "Inspect"),
    "inspect": CommandEntry("inspect", "inspect", "Inspect"),
    "reinspect": CommandEntry("reinspect", "reinspect", "Inspect"),
    "pin": CommandEntry("pin", "pin", "Inspect"),
    "demo": CommandEntry("demo", "demo", "Inspect"),
    "simulate": CommandEntry("simulate", "simulate", "Inspect"),
    "bench": CommandEntry("bench", "bench", "Inspect"),
    "status": CommandEntry("status", "status", "Look up"),
    "results": CommandEntry("results", "results", "Look up"),
    "show": CommandEntry("show", "show", "Look up"),
    "stats": CommandEntry("stats", "stats", "Look up"),
    "what-if": CommandEntry("what_if", "what_if", "Look up"),
    "reconcile": CommandEntry("reconcile", "reconcile", "Look up"),
    "retention": CommandEntry("retention", "retention", "Look up"),
    "worker": CommandEntry("run", "worker", None),
}

# What no command can help and a person can: permissions, a full disk, a read-only one.
OF_THE_MACHINE = (errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@cache
def load_command(name: str) -> Any:
    """Import one command and fit it into the program."""
    entry = COMMANDS[name]
    target = getattr(import_module(f"inspectd.cli.{entry.module}"), entry.target)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False)
        target.command(name, hidden=entry.panel is None)(function)
    command: Any = typer.main.get_command(target)
    command.name, command.rich_help_panel = name, entry.panel
    return command


class _Commands(Mapping[str, Any]):
    """Every command by its name, loaded when it is looked up."""

    def __getitem__(self, name: str) -> Any:
        return load_command(name)

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Program(TyperGroup):
    """The group of all commands: what a user can cause ends in a sentence, whatever else fails in a traceback."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Commands()  # type: ignore[assignment]  # nothing is ever added to it

    def invoke(self, ctx: Any) -> Any:
        """Run the command; whatever a user can put right is a sentence and an exit code."""
        try:
            with until_reader_leaves():
                return super().invoke(ctx)
        except InspectdError as error:
            for line in str(error).splitlines():
                _complain(line)
            raise typer.Exit(error.exit_code) from None
        except OSError as error:
            if error.errno not in OF_THE_MACHINE:
                raise
            _complain(f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}.")
            raise typer.Exit(1) from None


def _complain(sentence: str) -> None:
    from inspectd.cli.logs import say_in_json

    if say_in_json(sentence):
        return
    priority = "<3>" if stderr_is_the_journal() else ""  # so that `journalctl -p err` shows why a start failed
    print(f"{priority}inspectd: {printable(sentence)}", file=sys.stderr)  # noqa: T201


app = typer.Typer(name="inspectd", cls=Program, no_args_is_help=True, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"inspectd {__version__}")
        raise typer.Exit


@app.callback()
def program(
    _: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Drop an image into a folder; get a verdict, the reason for it, and a record."""


def main() -> None:
    """The entry point of the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no reason to fail
    app(prog_name="inspectd")
