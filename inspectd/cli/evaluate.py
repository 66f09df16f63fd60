"""`inspectd evaluate`: a bundle against images of known class."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from inspectd.cli.options import JsonOption
from inspectd.cli.output import say
from inspectd.cli.progress import screen


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder with a folder of images for each of its classes.")
    ],
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Masks of the defects: PNG files named as their images.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the report goes.")] = Path(
        "evaluation"
    ),
    as_json: JsonOption = False,
    device: Annotated[str, typer.Option(help="Where the network runs: auto, cpu, gpu or gpu:N.")] = "auto",
    precision: Annotated[
        Literal["auto", "float32", "bfloat16"], typer.Option(help="The arithmetic of the network.")
    ] = "auto",
) -> None:
    """Measure a bundle on images of known class: errors with confidence, heat, speed; one report with pictures."""
    from inspectd.config.schema import DEVICE, IN_WORDS
    from inspectd.evaluation.evaluate import METRICS, REPORT, evaluate_folder, write
    from inspectd.model.bundle import load_bundle

    if not re.search(DEVICE, device):
        raise typer.BadParameter(f"it must be {IN_WORDS[DEVICE]}", param_hint="--device")
    loaded = load_bundle(bundle)
    with screen(stderr=True) as shown:
        found = evaluate_folder(
            loaded, data, masks, lambda *done: shown.progress("evaluating", *done), device, precision
        )
        shown.progress("writing", 0, 1)
        write(found, loaded, out)
    if as_json:
        typer.echo(found.files[METRICS], nl=False)
        return
    for sentence in (*found.answer, *(f"Note: {doubt}" for doubt in found.doubts)):
        say(sentence)
    say(f"The report: {out / REPORT}")
