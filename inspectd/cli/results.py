"""`inspectd results`: lists verdicts as a table, JSON or CSV, or as they are recorded."""

import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output
from inspectd.cli.lookup import CONDITIONS, narrowed_by, open_ledger, overlay_path
from inspectd.cli.options import ConfigOption, CsvOption, JsonOption, refuse_both

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.config import Config
    from inspectd.ledger.read.filters import Filter
    from inspectd.ledger.read.search import Follower, Row

IN_A_TABLE = 50
POLL = 1.0  # seconds between two looks for new outcomes


@narrowed_by(*CONDITIONS)
def results(
    wanted: "Filter",
    config: ConfigOption = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            min=0,
            metavar="N",
            help=f"At most so many, the newest; 0 for all. Default: {IN_A_TABLE} in a table, otherwise all.",
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Print outcomes as they are recorded, until Ctrl-C.")
    ] = False,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            "--compare", metavar="A B", help="Only where these two models disagree: a name, NAME@HASH or a version."
        ),
    ] = None,
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """List what was inspected, the newest first.

    Times are local in the table, UTC in JSON and CSV.
    """
    refuse_both(as_json, as_csv)
    for_people = not (as_json or as_csv)
    most = IN_A_TABLE if limit is None and for_people else limit or None
    settings, engine = open_ledger(config)
    from inspectd.ledger.read.search import Follower, Row
    from inspectd.ledger.read.search import results as query

    # A table asks for one more, to know whether it shows all.
    wanted = replace(wanted, limit=most and most + for_people)
    if compare:
        _compare(settings, engine, compare, wanted, follow, as_json=as_json, as_csv=as_csv)
        return

    def record(row: Row) -> dict[str, Any]:
        return {**asdict(row), "overlay": overlay_path(settings, row)}

    columns = [field.name for field in fields(Row)]
    if follow:
        _follow(map(record, _as_they_come(Follower(engine, wanted))), columns, as_json, as_csv)
        return
    rows = map(record, query(engine, wanted))
    if as_json:
        output.write_json(rows)
    elif as_csv:
        output.write_csv(columns, rows)
    else:
        shown = ("id", "inspected", "verdict", "score", "label", "watch", "part", "path", "reason")
        output.write_table(shown, map(_cells, islice(rows, most)), right=("id", "score"))
        if next(rows, None):
            print(f"Only the newest {most} are shown; --limit 0 shows all.", file=sys.stderr)  # noqa: T201


def _compare(
    settings: "Config",
    engine: "Engine",
    pair: tuple[str, str],
    wanted: "Filter",
    follow: bool,
    *,
    as_json: bool,
    as_csv: bool,
) -> None:
    if follow:
        raise typer.BadParameter("it cannot go with --compare.", param_hint="--follow")
    from inspectd.cli.compare import compare

    compare(settings, engine, pair, wanted, as_json=as_json, as_csv=as_csv)


def _as_they_come(follower: "Follower") -> Iterator["Row"]:
    while True:
        yield from follower.poll()
        sys.stdout.flush()
        time.sleep(POLL)


def _follow(rows: Iterator[dict[str, Any]], columns: list[str], as_json: bool, as_csv: bool) -> None:
    """Prints one line for each outcome, until Ctrl-C."""
    try:
        if as_json:
            output.write_json_lines(rows)
        elif as_csv:
            output.write_csv(columns, rows)
        else:
            for row in rows:
                output.say(_line(row))
    except KeyboardInterrupt:
        return


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["id"]),
        output.local_time(row["inspected_at"]),
        row["verdict"],
        _score(row),
        row["label"] or "",
        row["watch"],
        row["part"] or "",
        row["path"],
        row["reason"] or "",
    )


def _line(row: dict[str, Any]) -> str:
    at, why = output.local_time(row["inspected_at"]), row["reason"] or row["label"]
    if row["verdict"] in ("ok", "defect") and row["reason"]:  # it names the page
        why = f"{row['label']}, {row['reason']}"
    return f"{at}  {row['verdict']:<7} {_score(row):>5}  {row['watch']}: {row['path']}  {why}"


def _score(row: dict[str, Any]) -> str:
    return "" if row["score"] is None else f"{row['score']:.3f}"
