"""`inspectd results --compare A B`: the images on which two models disagree, and how often."""

import sys
from collections.abc import Iterator
from dataclasses import asdict, fields, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from inspectd.cli import output

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.config import Config
    from inspectd.ledger.read.compare import Agreement
    from inspectd.ledger.read.filters import Filter


def compare(
    config: "Config", engine: "Engine", pair: tuple[str, str], wanted: "Filter", *, as_json: bool, as_csv: bool
) -> None:
    """Prints the disagreements that match a filter, and a summary; in a table one fewer than the filter's limit."""
    from inspectd.ledger.read.compare import Disagreement, agreement, disagreements, model_row

    a, b = (model_row(engine, text) for text in pair)

    def record(found: Disagreement) -> dict[str, Any]:
        overlays = {
            name: str(config.output / path) if (path := getattr(found, name)) else None
            for name in ("overlay_a", "overlay_b")
        }
        return {**asdict(found), **overlays}

    rows = map(record, disagreements(engine, a, b, wanted))
    counts = agreement(engine, a, b, replace(wanted, limit=None))
    summary = _summary(a.title, b.title, counts)
    if as_json:
        figures = {name: getattr(counts, name) for name in ("compared", "agreed", "to_defect", "to_ok", "review")}
        output.write_json_lines([{"a": a.title, "b": b.title, **figures, "disagreements": list(rows)}])
    elif as_csv:
        output.write_csv([field.name for field in fields(Disagreement)], rows)
        print(summary, file=sys.stderr)  # noqa: T201
    else:
        _tell(a.title, b.title, rows, wanted.limit)
        output.say(summary)


def _tell(a: str, b: str, rows: "Iterator[dict[str, Any]]", limit: int | None) -> None:
    most = limit and limit - 1
    columns = ("id", a, b, f"score {a}", f"score {b}", "watch", "part", "path", "overlay")
    shown = map(_cells, islice(rows, most))
    output.write_table(columns, shown, right=("id", *columns[3:5]), nothing="There is no disagreement.")
    if next(rows, None):
        print(f"Only the newest {most} are shown; --limit 0 shows all.", file=sys.stderr)  # noqa: T201


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(row["id"]),
        row["verdict_a"],
        row["verdict_b"],
        f"{row['score_a']:.3f}",
        f"{row['score_b']:.3f}",
        row["watch"],
        row["part"] or "",
        row["path"],
        row["overlay_b"] or row["overlay_a"] or "",
    )


def _summary(a: str, b: str, counts: "Agreement") -> str:
    return (
        f"{a} and {b}: {counts.compared:,} images compared, {counts.agreed:,} agreements, "
        f"{counts.to_defect:,} ok → defect, {counts.to_ok:,} defect → ok, {counts.review:,} to or from review."
    )
