"""`inspectd model`: lists models and versions, chooses the version that judges, imports and quantises networks."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inspectd.cli.options import (
    ConfigOption,
    DeviceOption,
    JsonOption,
    MethodOption,
    PrecisionOption,
    config_path,
    grouped,
)
from inspectd.cli.output import program, say, write_json, write_table
from inspectd.cli.progress import screen
from inspectd.domain import DEFAULT_METHOD
from inspectd.errors import ConfigError
from inspectd.model.spec import Preprocess

if TYPE_CHECKING:
    from inspectd.config import Config, WorkerSettings
    from inspectd.model.bundle import Bundle

app = typer.Typer(
    help="List models, look at one, choose the version that judges, import or quantise one.", no_args_is_help=True
)

BundleArgument = Annotated[
    str, typer.Argument(metavar="BUNDLE", help="A bundle, a folder of versions, or a model of the configuration.")
]
ModelArgument = Annotated[
    str, typer.Argument(metavar="MODEL", help="A folder of versions, or the name of one in the configuration.")
]
ReasonOption = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the daemon's event.")]


@app.command("list")
def list_models(
    models: Annotated[
        str | None,
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
    from inspectd.config import load
    from inspectd.model.catalog import catalogue

    if models is None:
        places = list(dict.fromkeys(watch.model for watch in load(config_path(config)).watch))
    else:
        places = [_named(models, _settings(config))]
    entries = catalogue(places)
    if as_json:
        write_json(entry.as_dict() for entry in entries)
        return
    write_table(COLUMNS, map(row, entries), right=("version", "AUC"), nothing="There is no model here.")


@app.command()
def show(
    bundle: BundleArgument,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell everything that is known of a model, once every byte of it is verified."""
    from inspectd.cli.bundle import facts
    from inspectd.model.bundle import load_bundle

    found = load_bundle(_named(bundle, _settings(config)))
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
        return
    for name, value in facts(found):
        say(f"{name:<12} {value}")


@app.command()
def verify(
    bundle: BundleArgument,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    method: MethodOption = DEFAULT_METHOD,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Have a model reproduce its golden images on this device, as a worker does before it takes work.

    Exits 1 if it does not.
    """
    from inspectd.cli.bundle import GOLDEN_COLUMNS, golden_row
    from inspectd.model.bundle import load_bundle
    from inspectd.model.loading import verify

    proofs = verify(load_bundle(_named(bundle, _settings(config))), device, precision, method)
    if as_json:
        write_json(each for proof in proofs for each in proof.as_dicts())
    else:
        for proof in proofs:
            write_table(GOLDEN_COLUMNS, map(golden_row, proof.as_dicts()), right=GOLDEN_COLUMNS[4:8])
            say(f"{proof}.")
    raise typer.Exit(0 if proofs[-1].passed else 1)


@app.command()
def activate(
    model: ModelArgument,
    version: Annotated[int, typer.Argument(metavar="VERSION", min=1, help="The version that is to judge.")],
    reason: ReasonOption = "",
    prove: Annotated[
        bool, typer.Option("--prove/--no-prove", help="Reproduce its golden images on this device first.")
    ] = True,
    config: ConfigOption = None,
) -> None:
    """Make a version current, once every byte of it is verified and its golden images are reproduced.

    A daemon that serves the model takes it up by itself, in a new worker, which proves it in any case.
    """
    from inspectd.config import WorkerSettings
    from inspectd.model.versions import activate, current

    settings = _settings(config)
    folder = _named(model, settings)
    before = current(folder)
    worker = settings.worker if settings else WorkerSettings()
    _chosen(activate(folder, version, reason, partial(_prove, worker=worker) if prove else None), before)


@app.command()
def rollback(model: ModelArgument, reason: ReasonOption = "", config: ConfigOption = None) -> None:
    """Make the version current that was current before; another call goes back one more."""
    from inspectd.model.versions import current, rollback

    folder = _named(model, _settings(config))
    before = current(folder)
    _chosen(rollback(folder, reason), before)


# What a file does not say, by the keyword of `Statement`.
STATEMENT_OPTIONS: dict[str, Any] = {
    "architecture": Annotated[
        Literal["article"] | None, typer.Option(help="The network that a file of weights belongs to.")
    ],
    "size": Annotated[
        str | None, typer.Option(metavar="N|WxH", help="The network's input in pixels. Default: as in the file.")
    ],
    "channels": Annotated[int | None, typer.Option(metavar="1|3", help="Grey or RGB input. Default: as in the file.")],
    "preprocess": Annotated[
        Preprocess | None,
        typer.Option(
            help="How pixels were prepared: divided by 255, as for its backbone, or unchanged. Default: what the "
            "network and the golden images show.",
            show_default=False,
        ),
    ],
    "backbone": Annotated[
        str | None, typer.Option(metavar="NAME", help="The backbone that --preprocess backbone prepares for.")
    ],
    "bits": Annotated[
        int | None, typer.Option(min=8, max=16, metavar="N", help="Bits of the values in 16-bit files. Default: 16.")
    ],
    "layer": Annotated[
        str | None, typer.Option(metavar="NAME", help="The target layer of Grad-CAM. Default: the last map.")
    ],
    "tiles": Annotated[
        int | None,
        typer.Option(
            min=0, metavar="OVERLAP", help="Cut images into tiles of the input's size that overlap by N pixels."
        ),
    ],
}


@app.command("import")
@grouped("said", STATEMENT_OPTIONS, lambda **said: said)
def import_model(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A .keras file, a whole-model .h5, or weights with --architecture.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="MODEL", help="The model whose next version is written, such as models/NAME.")
    ],
    classes: Annotated[str, typer.Option(metavar="A,B,…", help="The classes, in the order of the network's outputs.")],
    ok: Annotated[list[str], typer.Option(metavar="CLASS", help="A class that passes; may be repeated.")] = ["ok"],  # noqa: B006
    golden: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Images the network has not learned from, a folder for each class."),
    ] = None,
    *,
    said: dict[str, Any],
) -> None:
    """Make a network that was trained elsewhere the next version of a model."""
    from inspectd.cli.bundle import whats_next
    from inspectd.training.adopt import Statement, adopt
    from inspectd.training.recipe import read_size

    given = {key: value for key, value in said.items() if value is not None}
    if "size" in given:
        given["size"] = read_size(given["size"])
    statement = Statement(tuple(name.strip() for name in classes.split(",")), tuple(ok), **given)
    with screen() as shown:
        bundle = adopt(file, out, statement, golden, shown)
    say(f"Wrote {bundle.path} ({bundle.title}).")
    for sentence in whats_next(bundle, out):
        say(sentence)


@app.command()
def quantize(
    model: BundleArgument,
    images: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder of images that the model was trained on, unchanged.")
    ],
    config: ConfigOption = None,
) -> None:
    """Write a version of a model that processors can run in int8, and compare it with float32."""
    from inspectd.cli.bundle import whats_next
    from inspectd.model.bundle import load_bundle
    from inspectd.training.quantize import quantize

    with screen() as shown:
        bundle = quantize(load_bundle(_named(model, _settings(config))), images, shown)
    say(f"Wrote {bundle.path} ({bundle.title}).")
    for sentence in whats_next(bundle, bundle.path.parent):
        say(sentence)


def _chosen(bundle: "Bundle", before: int | None) -> None:
    said = "was so already" if before == bundle.spec.version else f"before: {before or 'none'}"
    say(f"{bundle.path.parent}: version {bundle.spec.version} ({bundle.title}) is current, {said}.")
    say(f"A running daemon takes it up within seconds; `{program()} status` and its log say so, or why it stays out.")


def _prove(bundle: "Bundle", worker: "WorkerSettings") -> None:
    """Have the bundle reproduce its golden images as a worker of this configuration would."""
    from inspectd.model.loading import open_inspector

    inspector = open_inspector(bundle, worker.device, worker.precision, worker.method)
    for remark in inspector.remarks:
        say(remark)


def _settings(option: Path | None) -> "Config | None":
    """The configuration; None where none was named and the default one cannot be had: a folder needs none."""
    from inspectd.config import load

    try:
        return load(config_path(option))
    except ConfigError:
        if option is not None:
            raise
        return None


def _named(text: str, settings: "Config | None") -> Path:
    from inspectd.model.catalog import named

    return named(text, [watch.model for watch in settings.watch] if settings else [])
