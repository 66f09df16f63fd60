"""`inspectd evaluate`: measures a bundle on images of known class."""

from pathlib import Path
from typing import Annotated

import typer

from inspectd.cli.options import DeviceOption, JsonOption, MethodOption, PrecisionOption
from inspectd.cli.output import say
from inspectd.cli.progress import screen
from inspectd.domain import DEFAULT_METHOD


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The bundle.")],
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A folder with a folder of images for each of its classes.")
    ],
    masks: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Masks of the defects: pictures named as their images.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where the report goes.")] = Path(
        "evaluation"
    ),
    as_json: JsonOption = False,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "auto",
    method: MethodOption = DEFAULT_METHOD,
) -> None:
    """Measure a bundle on images of known class: errors with confidence, heat, speed; writes a report with pictures."""
    from inspectd.evaluation.evaluate import METRICS, REPORT, evaluate_folder, write
    from inspectd.model.bundle import load_bundle

    loaded = load_bundle(bundle)
    with screen(stderr=True) as shown:
        found = evaluate_folder(
            loaded, data, masks, lambda *done: shown.progress("evaluating", *done), device, precision, method
        )
        shown.progress("writing", 0, 1)
        write(found, loaded, out)
    if as_json:
        typer.echo(found.files[METRICS], nl=False)
        return
    for sentence in (*found.answer, *(f"Note: {doubt}" for doubt in found.doubts)):
        say(sentence)
    say(f"The report: {out / REPORT}")
