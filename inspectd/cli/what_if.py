"""`inspectd what-if`: computes earlier verdicts under other thresholds, from the logits in the ledger."""

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output
from inspectd.cli.lookup import narrowed_by, open_ledger
from inspectd.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from inspectd.evaluation.what_if import Replayed
    from inspectd.ledger.read.filters import Filter

VERDICTS = ("ok", "review", "defect")
MOVES = [(old, new) for old in VERDICTS for new in VERDICTS if old != new]


@narrowed_by("since", "until", "watch", "model")
def what_if(
    wanted: "Filter",
    threshold: Annotated[
        float, typer.Option("--threshold", metavar="LOGIT", help="The margin from which on an image is a defect.")
    ],
    review: Annotated[
        float | None, typer.Option("--review", metavar="LOGIT", help="The margin from which on an image is for review.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compute earlier verdicts under other thresholds: how many would change, and for the better?

    Prints one row for each model. It needs no network and no image, and changes nothing.
    """
    if not math.isfinite(threshold):
        raise typer.BadParameter("it must be a finite number.", param_hint="--threshold")
    if review is not None and not review < threshold:
        raise typer.BadParameter("it must lie below --threshold.", param_hint="--review")
    _, engine = open_ledger(config)
    from inspectd.evaluation.what_if import what_if as replay
    from inspectd.ledger.read.filters import Span
    from inspectd.model.spec import Thresholds

    span = Span(wanted.since, wanted.until)
    found = replay(engine, Thresholds(threshold, review), span, wanted.watch, wanted.model)
    if as_json:
        output.write_json(map(_record, found))
        return
    columns = ("model", "verdicts", "changed", *(f"{old} → {new}" for old, new in MOVES))
    output.write_table(columns, map(_cells, found), right=columns[1:])
    for each in found:
        for sentence in _sentences(each):
            output.say(f"{each.model}: {sentence}")


def _record(found: "Replayed") -> dict[str, Any]:
    errors = {"before": found.before, "after": found.after}
    return {
        "model": found.model,
        "verdicts": found.images,
        "changed": found.changed,
        "moves": {old: {new: found.moves[old, new] for new in VERDICTS} for old in VERDICTS},
        "unreadable": found.unreadable,
        "reviewed": {"good": found.reviewed_as(good=True), "defects": found.reviewed_as(good=False)}
        | {when: vars(each) for when, each in errors.items()},
    }


def _cells(found: "Replayed") -> tuple[str, ...]:
    return (found.model, str(found.images), str(found.changed), *(str(found.moves[move]) for move in MOVES))


def _sentences(found: "Replayed") -> list[str]:
    said = []
    if found.unreadable:
        said.append(
            f"{found.unreadable} verdicts cannot be replayed: the ledger does not know how to read the logits of this "
            "model. It learns that when a worker next loads the model."
        )
    if found.reviewed:
        was, would = found.before, found.after
        said.append(
            f"reviewed as defects: {found.reviewed_as(good=False)}, of which {was.escapes} passed and {would.escapes} "
            f"would; reviewed as good: {found.reviewed_as(good=True)}, of which {was.overkills} were rejected and "
            f"{would.overkills} would be."
        )
    return said
