"""`inspectd model`: what models there are, what is known of one, which version is to judge."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from inspectd.cli.options import ConfigOption, JsonOption, config_path
from inspectd.cli.output import program, say, write_json, write_table
from inspectd.errors import ConfigError

if TYPE_CHECKING:
    from inspectd.model.bundle import Bundle

app = typer.Typer(help="List models, look at one, choose the version that judges.", no_args_is_help=True)

ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder of versions, or the name of one in the configuration.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", metavar="TEXT", help="Why; it is kept, and told when the daemon has taken it up.")
]


@app.command("list")
def list_models(
    models: Annotated[
        Path | None,
        typer.Argument(
            metavar="MODELS",
            help="A folder of models, or one model. Default: those in the configuration.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List every version of every model, with what was measured of it."""
    from inspectd.cli.bundle import COLUMNS, row
    from inspectd.model.catalog import catalogue

    entries = catalogue(_configured(config) if models is None else [models])
    if as_json:
        write_json(entry.as_dict() for entry in entries)
        return
    write_table(COLUMNS, map(row, entries), right=("version", "AUC"), nothing="There is no model here.")


@app.command()
def show(
    bundle: Annotated[
        str, typer.Argument(metavar="BUNDLE", help="A bundle, a folder of versions, or a model of the configuration.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell everything that is known of a model, once every byte of it is verified."""
    from inspectd.cli.bundle import facts
    from inspectd.model.bundle import load_bundle

    found = load_bundle(_named(bundle, config))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    for name, value in facts(found):
        say(f"{name:<12} {value}")


@app.command()
def activate(
    model: ModelArgument,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version that is to judge.")],
    reason: ReasonOption = "",
    config: ConfigOption = None,
) -> None:
    """Make a version current, once every byte of it is verified.

    A daemon that serves the model takes it up by itself, in a new worker; one that cannot stays out.
    """
    from inspectd.model.versions import activate, current

    folder = _named(model, config)
    before = current(folder)
    _chosen(activate(folder, version, reason), before)


@app.command()
def rollback(model: ModelArgument, reason: ReasonOption = "", config: ConfigOption = None) -> None:
    """Make the version current that was so before; said again, the one before that."""
    from inspectd.model.versions import current, rollback

    folder = _named(model, config)
    before = current(folder)
    _chosen(rollback(folder, reason), before)


def _chosen(bundle: "Bundle", before: int | None) -> None:
    said = "was so already" if before == bundle.spec.version else f"before: {before or 'none'}"
    say(f"{bundle.path.parent}: version {bundle.spec.version} ({bundle.title}) is current, {said}.")
    say(f"A running daemon takes it up within seconds; `{program()} status` and its log say so, or why it stays out.")


def _configured(option: Path | None) -> list[Path]:
    from inspectd.config import load

    return list(dict.fromkeys(watch.model for watch in load(config_path(option)).watch))


def _named(text: str, option: Path | None) -> Path:
    """A folder needs no configuration."""
    from inspectd.model.catalog import named

    if Path(text).is_dir():
        return Path(text)
    try:
        configured = _configured(option)
    except ConfigError:
        if option is not None:
            raise
        configured = []
    return named(text, configured)
