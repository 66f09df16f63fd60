"""Statistics of the ledger: how many images of which outcome, by watch, day or hour. Reads only, for `open_reader`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import groupby
from typing import Literal

from sqlalchemy import Engine, func, literal_column, select

from inspectd.ledger.query import JOINED, VERDICT, Filter, conditions
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
    moment = func.coalesce(images.c.finished_at, images.c.seen_at)
    minute = func.substr(moment, literal_column("1"), literal_column("16"))  # no coarser: zones differ by minutes
    key = images.c.watch if by == "watch" else minute
    query = select(key, VERDICT, func.count()).select_from(JOINED).where(*conditions(wanted or Filter()))
    with engine.connect() as connection:
        counted = connection.execute(query.group_by(key, VERDICT)).all()
    names = {"watch": _as_it_is, "day": _local("%Y-%m-%d", zone), "hour": _local("%Y-%m-%d %H:00", zone)}
    name = names[by]
    named = sorted((name(key), verdict, number) for key, verdict, number in counted)
    return [_stat_row(group, list(rows)) for group, rows in groupby(named, key=lambda row: row[0])]


def _as_it_is(watch: str) -> str:
    return watch


def _local(form: str, zone: tzinfo | None) -> Callable[[str], str]:
    """From ``2026-11-23T15:28`` in UTC to the day or hour in the given zone."""
    return lambda minute: datetime.fromisoformat(f"{minute}+00:00").astimezone(zone).strftime(form)


def _stat_row(group: str, rows: list[tuple[str, str, int]]) -> StatRow:
    counts = dict.fromkeys(("ok", "defect", "review", "failed", "pending"), 0)
    for _, verdict, number in rows:
        counts[verdict] += number
    return StatRow(group, sum(counts.values()), **counts)
