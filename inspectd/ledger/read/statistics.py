"""Statistics: how many images of each outcome, by watch, day or hour. Reads only, for `open_reader`."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from itertools import groupby, islice
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Engine, Integer, Select, bindparam, cast, func, literal_column, select

from inspectd.clock import utc_text
from inspectd.domain import Verdict
from inspectd.ledger.read.filters import PENDING, Filter, looked_up, outcomes, source, waiting
from inspectd.ledger.schema import State, images
from inspectd.ledger.transactions import IS_FINISHED

_QUARTER = timedelta(minutes=15)  # all time zones differ by multiples of this
SPANS = 4096  # days or hours that one query counts

Local = Callable[[datetime], str]  # the local day or hour that a moment is in
Count = tuple[str, str, int]  # group, verdict, how many


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
        """Defects over judged images (ok, defect and review); None if no image is judged."""
        judged = self.ok + self.defect + self.review
        return self.defect / judged if judged else None


def stats(
    engine: Engine, by: Literal["watch", "day", "hour"], wanted: Filter | None = None, zone: tzinfo | None = None
) -> list[StatRow]:
    """Count outcomes by watch, or by the day or hour of the outcome, in order; times in `zone`, or local."""
    wanted = wanted or Filter()
    local = _day(zone) if by == "day" else _hour(zone)
    keys, name = (_by_watch, _as_it_is) if by == "watch" else (_by_quarter, _of_quarter(local))
    judged, pending = keys(images.c.finished_at), keys(images.c.seen_at)
    with engine.connect() as connection:
        among = looked_up(connection, wanted)
        waits = select(literal_column(f"'{PENDING}'"), func.count(), *pending).where(*waiting(wanted, among))
        counted = _grouped(connection, waits.group_by(*pending), name)
        if by != "watch" and wanted.is_about_outcomes:
            counted += _span_by_span(connection, wanted, local)
        else:
            found = select(images.c.verdict, func.count(), *judged).select_from(source(wanted))
            found = found.where(*outcomes(wanted, among)).group_by(*judged, images.c.verdict)
            counted += _grouped(connection, found, name)
    return [_stat_row(group, list(rows)) for group, rows in groupby(sorted(counted), key=lambda row: row[0])]


def _grouped(connection: Connection, query: Select[Any], name: Callable[..., str]) -> list[Count]:
    return [(name(*key), verdict, number) for verdict, number, *key in connection.execute(query)]


def _span_by_span(connection: Connection, wanted: Filter, local: Local) -> Iterator[Count]:
    """Count the outcomes of each local day or hour as a range of the index on verdict and time.

    No row is sorted. One query counts many spans. Years in which nothing happened are skipped.
    """
    verdicts = (wanted.verdict,) if wanted.verdict else (*Verdict, State.FAILED)
    until = wanted.until or datetime.max.replace(tzinfo=UTC)
    at = images.c.finished_at
    span = func.json_each(bindparam("spans")).table_valued("key", "value")
    start, end = (func.json_extract(span.c.value, path, type_=at.type) for path in ("$[0]", "$[1]"))
    numbers = [
        select(func.count())
        .where(*outcomes(replace(wanted, since=None, until=None, verdict=verdict)), at >= start, at < end)
        .scalar_subquery()
        for verdict in verdicts
    ]
    query = select(*numbers).select_from(span).order_by(span.c.key)
    newest = connection.scalar(select(func.max(at)).where(IS_FINISHED))
    following = select(func.min(at)).where(IS_FINISHED, at >= bindparam("moment", type_=at.type))
    first = connection.scalar(following, {"moment": utc_text(wanted.since) if wanted.since else ""})
    while first is not None and first < utc_text(until):
        spans = list(islice(_spans(first, local, min(until, datetime.fromisoformat(newest) + _QUARTER)), SPANS))
        counted = connection.execute(query, {"spans": json.dumps([limits for _, *limits in spans])})
        for (group, *_), found in zip(spans, counted, strict=True):
            yield from ((group, verdict, number) for verdict, number in zip(verdicts, found, strict=True) if number)
        first = connection.scalar(following, {"moment": spans[-1][2]})


def _spans(first: str, local: Local, until: datetime) -> Iterator[tuple[str, str, str]]:
    """Yield the local days or hours from a moment on: name, beginning and end; the last one ends at `until`."""
    moment, begin = datetime.fromisoformat(first), first
    while moment < until:
        group, over = _span(moment, local)
        end = utc_text(min(over, until))
        yield group, begin, end
        moment, begin = over, end


def _span(moment: datetime, local: Local) -> tuple[str, datetime]:
    """The local day or hour that a moment is in, and its end."""
    group = local(moment)
    over = moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)
    if local(over + 3 * _QUARTER) == group:  # nearly always, because most spans begin on the hour
        over += 3 * _QUARTER
    while local(over) == group:
        over += _QUARTER
    return group, over


def _by_watch(_: ColumnElement[str]) -> tuple[ColumnElement[Any], ...]:
    return (images.c.watch,)


def _by_quarter(moment: ColumnElement[str]) -> tuple[ColumnElement[Any], ...]:
    """The hour in UTC, as ``2026-11-23T15``, and which quarter of it."""
    minute = cast(func.substr(moment, literal_column("15"), literal_column("2")), Integer)
    return func.substr(moment, literal_column("1"), literal_column("13")), minute.op("/")(literal_column("15"))


def _as_it_is(watch: str) -> str:
    return watch


def _of_quarter(local: Local) -> Callable[[str, int], str]:
    return lambda hour, quarter: local(datetime.fromisoformat(f"{hour}:{15 * quarter:02d}+00:00"))


def _day(zone: tzinfo | None) -> Local:
    # Cached, because each verdict of a quarter of an hour has a row of its own.
    return cache(lambda moment: moment.astimezone(zone).isoformat()[:10])


def _hour(zone: tzinfo | None) -> Local:
    return cache(lambda moment: moment.astimezone(zone).isoformat(" ")[:13] + ":00")


def _stat_row(group: str, rows: list[tuple[str, str, int]]) -> StatRow:
    counts = dict.fromkeys(("ok", "defect", "review", "failed", "pending"), 0)
    for _, verdict, number in rows:
        counts[verdict] += number
    return StatRow(group, sum(counts.values()), **counts)
