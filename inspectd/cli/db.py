"""`inspectd db`: copies the ledger while the daemon runs, and checks that it is whole."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from inspectd.cli.options import ConfigOption, config_path
from inspectd.cli.output import program, say
from inspectd.errors import InspectdError

app = typer.Typer(help="Back up the ledger, or check that it is whole.", no_args_is_help=True)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The copy to write; it must not exist.")],
    config: ConfigOption = None,
) -> None:
    """Copy the ledger into one file, whether the daemon runs or not.

    The copy is whole and on the disk under its name, or there is none. docs/database.md says how to restore it.
    """
    from inspectd.config import load
    from inspectd.ledger.backup import backup

    backup(load(config_path(config)).database, file)
    say(f"{file} is a copy of the ledger. Check it with: {program()} db check {shlex.quote(str(file))}")


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A copy to check instead of the ledger.", show_default=False)
    ] = None,
    config: ConfigOption = None,
) -> None:
    """Check that the ledger is whole and keeps its rules, one line for each; exit 1 on a fault.

    It reads the whole ledger, whether the daemon runs or not, and changes nothing.
    """
    from inspectd.config import load
    from inspectd.ledger.backup import check

    settings = load(config_path(config))
    url = settings.database if file is None else f"sqlite:///{file.absolute()}"
    faults = 0
    for result in check(url, [watch.name for watch in settings.watch]):
        faults += result.fault is not None
        outcome = f": {result.fault}" if result.fault else ""
        say(f"{'FAULT' if result.fault else 'ok':<6} {result.name:<11}  {result.promise}{outcome}")
    if faults:
        raise InspectdError(
            f"{file or settings.database_file} has {faults} fault{'s' if faults > 1 else ''}, see above."
        )
