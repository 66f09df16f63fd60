"""`inspectd stats`: counts outcomes and the defect rate."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from inspectd.cli import output
from inspectd.cli.lookup import narrowed_by, open_ledger
from inspectd.cli.options import ConfigOption, CsvOption, JsonOption, refuse_both

if TYPE_CHECKING:
    from inspectd.ledger.read.filters import Filter
    from inspectd.ledger.read.statistics import StatRow

COUNTS = ("total", "ok", "defect", "review", "failed", "pending")


@narrowed_by("since", "until", "watch", "model", "path")
def stats(
    wanted: "Filter",
    config: ConfigOption = None,
    by: Annotated[Literal["watch", "day", "hour"], typer.Option("--by", help="One row for each of these.")] = "watch",
    as_json: JsonOption = False,
    as_csv: CsvOption = False,
) -> None:
    """Count outcomes by watch, or by local day or hour.

    The defect rate is the share of defects among the images with a verdict.
    """
    refuse_both(as_json, as_csv)
    _, engine = open_ledger(config)
    from inspectd.ledger.read.statistics import stats as query

    rows = [_record(by, row) for row in query(engine, by, wanted)]
    columns = (by, *COUNTS, "defect_rate")
    if as_json:
        output.write_json(rows)
    elif as_csv:
        output.write_csv(columns, rows)
    else:
        output.write_table((by, *COUNTS, "defect rate"), map(_cells, rows), right=(*COUNTS, "defect rate"))


def _record(by: str, row: "StatRow") -> dict[str, Any]:
    counts = dict(vars(row))
    return {by: counts.pop("group"), **counts, "defect_rate": row.defect_rate}


def _cells(record: dict[str, Any]) -> tuple[str, ...]:
    *values, rate = record.values()
    return (*map(str, values), "" if rate is None else f"{rate:.1%}")
