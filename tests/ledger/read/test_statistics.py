"""Statistics by watch, day and hour, in every time zone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, update
from support.plans import plans

from inspectd.ledger.read.filters import Filter
from inspectd.ledger.read.statistics import StatRow, stats
from inspectd.ledger.schema import images

KATHMANDU = timezone(timedelta(hours=5, minutes=45))


def at(hour: int) -> datetime:
    return datetime(2026, 11, 23, hour, tzinfo=UTC)


def test_stats_by_watch_count_every_image_once(reader: Engine) -> None:
    line, press = stats(reader, "watch")
    assert line == StatRow("line", total=4, ok=1, defect=1, review=1, failed=1, pending=0)
    assert press == StatRow("press", total=2, ok=1, defect=0, review=0, failed=0, pending=1)
    assert (line.defect_rate, press.defect_rate) == (1 / 3, 0.0)
    assert StatRow("none", 1, 0, 0, 0, 1, 0).defect_rate is None


def test_stats_fall_into_local_days_and_hours(reader: Engine) -> None:
    assert [(row.group, row.total) for row in stats(reader, "day", zone=UTC)] == [("2026-11-23", 6)]
    far_east = timezone(timedelta(hours=12))
    days = [(row.group, row.total) for row in stats(reader, "day", zone=far_east)]
    assert days == [("2026-11-23", 2), ("2026-11-24", 4)]
    hours = stats(reader, "hour", Filter(watch="line"), zone=KATHMANDU)
    assert [row.group for row in hours] == [f"2026-11-23 {hour}:00" for hour in (16, 17, 18, 19)]


def test_stats_by_ranges_of_time_are_those_by_each_row(reader: Engine, engine: Engine) -> None:
    """Around the hours at which Chile and Lord Howe set their clocks: at midnight, and by half an hour."""
    moments = ("1970-01-01T00:00", "2026-04-04T14:40", "2026-04-04T15:10", "2026-09-06T03:59", "2026-09-06T04:00")
    with engine.begin() as connection:
        for image_id, moment in enumerate(moments, start=1):
            at = f"{moment}:00.000Z"
            connection.execute(update(images).where(images.c.id == image_id).values(seen_at=at, finished_at=at))
    some = Filter(since=datetime(2026, 4, 4, 14, 40, tzinfo=UTC), until=datetime(2026, 9, 6, 4, 0, tzinfo=UTC))
    asked = [Filter(), Filter(watch="line"), Filter(verdict="ok"), Filter(verdict="pending"), some]
    for wanted in asked:
        for zone in (UTC, KATHMANDU, ZoneInfo("America/Santiago"), ZoneInfo("Australia/Lord_Howe"), None):
            for by in ("day", "hour"):
                ranged = stats(reader, by, wanted, zone)
                assert ranged
                assert ranged == stats(reader, by, replace(wanted, path="*"), zone)
    assert sum(row.total for row in stats(reader, "day", some, UTC)) == 3


def test_stats_are_counted_in_an_index_alone(reader: Engine) -> None:
    asked = plans(reader, lambda: stats(reader, "day", Filter(watch="line", since=at(10), until=at(20))))
    counting = next(plan for plan in asked if "SCALAR SUBQUERY" in plan)
    assert (
        counting.count("COVERING INDEX images_watch (watch=? AND verdict=? AND finished_at>? AND finished_at<?)") == 4
    )
    assert any("SEARCH images USING COVERING INDEX images_finished (finished_at>?)" in plan for plan in asked)
    counting = next(plan for plan in plans(reader, lambda: stats(reader, "hour")) if "SCALAR SUBQUERY" in plan)
    assert counting.count("COVERING INDEX images_verdict (verdict=? AND finished_at>? AND finished_at<?)") == 4
