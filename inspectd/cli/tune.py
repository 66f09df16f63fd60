"""`inspectd tune`: chooses thresholds for a purpose and writes a new version of a model."""

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output
from inspectd.cli.options import JsonOption

if TYPE_CHECKING:
    from inspectd.evaluation.thresholds import Purpose
    from inspectd.evaluation.tune import Tuned

MOST = 1e12  # the largest cost, so that the sum of all stays finite
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d+)?) ?%")


def _share(text: str | float) -> float:
    """Reads a percentage as a share."""
    found = _PERCENT.fullmatch(str(text))
    if found is None or float(found[1]) >= 100:
        raise typer.BadParameter(f"'{text}' is no percentage below 100: write it like 0.5%.")
    return float(found[1]) / 100


def tune(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A model, or one version of it.")],
    max_escape: Annotated[
        float | None, typer.Option(parser=_share, metavar="P%", help="Miss at most this share of the defects.")
    ] = None,
    max_overkill: Annotated[
        float | None, typer.Option(parser=_share, metavar="P%", help="Reject at most this share of the good images.")
    ] = None,
    cost_escape: Annotated[
        float | None, typer.Option(min=0, max=MOST, metavar="C", help="What a missed defect costs.")
    ] = None,
    cost_overkill: Annotated[
        float | None, typer.Option(min=0, max=MOST, metavar="C", help="What a rejected good image costs.")
    ] = None,
    cost_review: Annotated[
        float | None,
        typer.Option(min=0, max=MOST, metavar="C", help="What it costs to have a person look at an image."),
    ] = None,
    defect_share: Annotated[
        float | None,
        typer.Option(
            parser=_share,
            metavar="P%",
            help="Share of defects on the line. Default: their share among the images used.",
        ),
    ] = None,
    findings: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Choose by an evaluation's findings.csv instead of the validation images."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="MODEL", help="Write the version into this model. Default: the same model.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Choose thresholds for a purpose, print how certain the result is, and write a new version of the model.

    Two limits that no single threshold keeps, or a cost of review, give two thresholds with review between them.
    """
    purpose = _purpose((max_escape, max_overkill), (cost_escape, cost_overkill, cost_review, defect_share))
    from inspectd.evaluation.tune import tune as write_tuned
    from inspectd.model.bundle import load_bundle

    found = write_tuned(load_bundle(bundle), purpose, findings, out)
    if as_json:
        output.write_json([_record(found)])
        return
    for sentence in found.sentences:
        output.say(sentence)
    thresholds = found.bundle.spec.thresholds.as_dict()
    folder, version = found.bundle.path.parent, found.bundle.spec.version
    output.say(f"Wrote {found.bundle.path} ({found.bundle.title}).")
    new = " ".join(f"--{'threshold' if key == 'defect' else key} {value!r}" for key, value in thresholds.items())
    output.say(f"What it would have changed: `{output.program()} what-if {new} --since 30d`.")
    output.say(f"It judges from `{output.program()} model activate {shlex.quote(str(folder))} {version}` on.")


def _purpose(
    limits: tuple[float | None, float | None], costs: tuple[float | None, float | None, float | None, float | None]
) -> "Purpose":
    from inspectd.evaluation.thresholds import Costs, ErrorLimits

    escape, overkill, review, defect_share = costs
    limited, priced = any(each is not None for each in limits), any(each is not None for each in costs)
    if limited == priced:
        raise typer.BadParameter("give --max-escape, --max-overkill or both; or --cost-escape and --cost-overkill.")
    if limited:
        return ErrorLimits(*limits)
    if escape is None or overkill is None:
        raise typer.BadParameter("--cost-escape and --cost-overkill are needed together.")
    return Costs(escape, overkill, review, defect_share)


def _record(found: "Tuned") -> dict[str, Any]:
    spec = found.bundle.spec
    return {
        "bundle": str(found.bundle.path),
        "model": found.bundle.title,
        "version": spec.version,
        "thresholds": spec.thresholds.as_dict(),
        "tuned": spec.training["tuned"],
        "on_the_images_that_chose": found.chosen.as_numbers(),
        "on_test_images": found.shown and found.shown.as_numbers(),
        "sentences": found.sentences,
    }
