"""`inspectd reinspect`: has earlier images judged again by another model, and shows the progress."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from inspectd.cli import output
from inspectd.cli.lookup import CONDITIONS, narrowed_by, open_ledger
from inspectd.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.ledger.read.filters import Filter
    from inspectd.service.reinspect import ReinspectionReply

SHOWN = 50  # images with their reasons that are printed


@narrowed_by(*(name for name in CONDITIONS if name != "model"))
def reinspect(
    wanted: "Filter",
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", metavar="MODEL", help="The model that judges: a folder, or a name."),
    ] = None,
    config: ConfigOption = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME[@HASH]", help="Only images with a verdict by this model.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", min=1, metavar="N", help="At most so many images, the newest.")
    ] = None,
    cancel: Annotated[
        bool, typer.Option("--cancel", help="Remove the waiting images from the list, for this model or for all.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Have earlier images judged again by a model; without --model, show the progress.

    The daemon does it when no new image waits. The earlier verdicts stay in force: compare the new ones with
    `inspectd results --compare`.
    """
    settings, engine = open_ledger(config)
    from inspectd.ledger.read.filters import Filter
    from inspectd.service import reinspect as service

    wanted = replace(wanted, model=by, limit=limit)
    if cancel:
        output.say(f"{service.cancel(settings, model):,} images were removed from the list.")
    elif model is not None:
        _tell(service.reinspect(settings, engine, model, wanted), as_json)
    elif wanted != Filter():
        raise typer.BadParameter("name the model that judges the images.", param_hint="--model")
    else:
        _show(engine, as_json)


def _tell(answer: "ReinspectionReply", as_json: bool) -> None:
    asked, title = answer.asked, answer.bundle.title
    if as_json:
        output.write_json_lines([{"model": title, **asdict(asked), "daemon": answer.daemon}])
        return
    output.say(f"{title}: {asked.listed:,} images wait to be judged again.")
    for number, what in (
        (asked.waiting, "were on its list already"),
        (asked.judged, "it has judged already"),
        (asked.gone, "cannot be judged: their file was deleted, or removed by retention"),
        (asked.without, "are left out: they have no verdict"),
    ):
        if number:
            output.say(f"  {number:,} {what}.")
    if asked.listed or asked.waiting:
        output.say(
            f"The daemon does it when no new image waits; `{output.program()} reinspect` shows the progress."
            if answer.daemon
            else f"No daemon serves this ledger: they wait for `{output.program()} run`."
        )


def _show(engine: "Engine", as_json: bool) -> None:
    from inspectd.ledger.read.reinspections import not_reinspected, reinspection_progress

    found = reinspection_progress(engine)
    if as_json:
        output.write_json_lines(
            [
                {
                    "requests": [asdict(each) for each in found],
                    "not_judged": [asdict(each) for each in not_reinspected(engine)],
                }
            ]
        )
        return
    columns = ("asked", "model", "waiting", "judged", "could not be", "finished", "reason")
    rows = (
        (
            output.local_time(each.requested_at),
            each.model,
            *(f"{number:,}" for number in (each.waiting, each.judged, each.failed)),
            output.local_time(each.finished_at),
            each.reason or "",
        )
        for each in found
    )
    output.write_table(columns, rows, right=columns[2:5], nothing="No images were requested to be judged again.")
    for line in _reasons(engine, sum(each.failed for each in found)):
        output.say(line)


def _reasons(engine: "Engine", number: int) -> Iterator[str]:
    from inspectd.ledger.read.reinspections import not_reinspected

    if number:
        yield ""
    for each in islice(not_reinspected(engine), SHOWN):
        yield f"{each.model}: {each.watch}: {each.path}: {each.reason}"
    if number > SHOWN:
        yield f"and {number - SHOWN:,} more; --json has them all."
