"""Statistics of the ledger: how many images of which outcome, by watch, day or hour. Reads only, for `open_reader`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import ColumnElement, Engine, Integer, cast, func, literal_column, select

from inspectd.ledger.filters import PENDING, Filter, outcomes, source, waiting
from inspectd.ledger.schema import images


@dataclass(frozen=True)
class StatRow:
    """Counts of one group: a watch, or a local day (``2026-11-23``) or hour (``2026-11-23 15:00``)."""

    group: str
    total: int
    ok: int
    defect: int
    review: int
    failed: int
    pending: int

    @property
    def defect_rate(self) -> float | None:
        """Defects over judged images (ok, defect and review); None while nothing is judged."""
        judged = self.ok + self.defect + self.review
        return self.defect / judged if judged else None


def stats(
    engine: Engine, by: Literal["watch", "day", "hour"], wanted: Filter | None = None, zone: tzinfo | None = None
) -> list[StatRow]:
    """Counts of outcomes by watch, or by the day or hour in which they fell, in order; times in `zone`, or local."""
    wanted = wanted or Filter()
    keys = _by_watch if by == "watch" else _by_quarter
    judged, pending = keys(images.c.finished_at), keys(images.c.seen_at)
    found = select(images.c.verdict, func.count(), *judged).select_from(source(wanted))
    waits = select(literal_column(f"'{PENDING}'"), func.count(), *pending)
    with engine.connect() as connection:
        counted = [
            *connection.execute(found.where(*outcomes(connection, wanted)).group_by(*judged, images.c.verdict)),
            *connection.execute(waits.where(*waiting(connection, wanted)).group_by(*pending)),
        ]
    names: dict[str, Callable[..., str]] = {
        "watch": _as_it_is,
        "day": _local("%Y-%m-%d", zone),
        "hour": _local("%Y-%m-%d %H:00", zone),
    }
    name = names[by]
    named = sorted((name(*key), verdict, number) for verdict, number, *key in counted)
    return [_stat_row(group, list(rows)) for group, rows in groupby(named, key=lambda row: row[0])]


def _by_watch(_: ColumnElement[str]) -> tuple[ColumnElement[Any], ...]:
    return (images.c.watch,)


def _by_quarter(moment: ColumnElement[str]) -> tuple[ColumnElement[Any], ...]:
    """The hour, as ``2026-11-23T15``, and which quarter of it: zones differ by no less."""
    minute = cast(func.substr(moment, literal_column("15"), literal_column("2")), Integer)
    return func.substr(moment, literal_column("1"), literal_column("13")), minute.op("/")(literal_column("15"))


def _as_it_is(watch: str) -> str:
    return watch


def _local(form: str, zone: tzinfo | None) -> Callable[[str, int], str]:
    """From an hour in UTC and its quarter to the day or hour in the given zone."""

    @cache  # each verdict has a row of its own
    def name(hour: str, quarter: int) -> str:
        return datetime.fromisoformat(f"{hour}:{15 * quarter:02d}+00:00").astimezone(zone).strftime(form)

    return name


def _stat_row(group: str, rows: list[tuple[str, str, int]]) -> StatRow:
    counts = dict.fromkeys(("ok", "defect", "review", "failed", "pending"), 0)
    for _, verdict, number in rows:
        counts[verdict] += number
    return StatRow(group, sum(counts.values()), **counts)
