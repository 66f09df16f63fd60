"""The feed of the metrics: everything once, in bounded looks, whatever the clock does."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, select, update
from support.queueing import arrivals, enqueue, inspected

from inspectd.domain import Verdict
from inspectd.ledger.read import feed as feeds
from inspectd.ledger.read.feed import Feed, News
from inspectd.ledger.read.status import recent
from inspectd.ledger.records import Claim, Failed
from inspectd.ledger.schema import events, images, inspections
from inspectd.ledger.write.queue import Queue

SECOND = timedelta(seconds=1)


def failed(claim: Claim) -> Failed:
    return Failed(claim, "truncated: the file ends before its image does.")


@pytest.fixture
def feed(engine: Engine) -> Feed:
    return Feed(engine, datetime.now(UTC))


def test_nothing_before_and_everything_after_once(queue: Queue, engine: Engine, model: int) -> None:
    enqueue(queue, "line", arrivals(20))
    claims = queue.claims.take("w", ["line"], 10, 60)
    queue.outcomes.finish("w", model, [inspected(claims[0]), *map(failed, claims[1:4])])
    queue.event("start", "before")
    feed = Feed(engine, datetime.now(UTC))
    assert feed.look(datetime.now(UTC)).verdicts == ()
    queue.outcomes.finish("w", model, [*map(failed, claims[4:6]), *(inspected(claim) for claim in claims[6:9])])
    queue.outcomes.finish("w", model, [inspected(claims[9], Verdict.DEFECT)])
    queue.event("hang", "worker 7")
    news = feed.look(datetime.now(UTC))
    assert Counter((each.watch, each.verdict) for each in news.verdicts) == {("line", "ok"): 3, ("line", "defect"): 1}
    assert {each.stages["infer"] for each in news.verdicts} == {0.02}
    assert all(each.latency >= 0 for each in news.verdicts)
    assert sum(news.batches) == 4
    assert news.failed == (("line", "truncated"),) * 2
    assert news.events == (("hang", "worker 7"),)
    assert news.backlog.counts == {("line", "queued"): 10}
    assert not news.more
    again = feed.look(datetime.now(UTC))
    assert (again.verdicts, again.batches, again.failed, again.events) == ((), (), (), ())


def test_a_look_is_bounded_and_tears_no_batch(
    queue: Queue, engine: Engine, model: int, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "_INSPECTIONS", feeds._INSPECTIONS.limit(10))
    monkeypatch.setattr(feeds, "MOST", 10)
    enqueue(queue, "line", arrivals(24))
    while claims := queue.claims.take("w", ["line"], 4, 60):
        queue.outcomes.finish("w", model, [inspected(claim) for claim in claims])
    with engine.begin() as connection:  # times that differ, as they do where a batch takes longer than a millisecond
        for start in range(0, 24, 4):
            ids = range(start + 1, start + 5)
            at = f"2026-11-24T12:00:{start:02d}.000Z"
            connection.execute(update(inspections).where(inspections.c.id.in_(ids)).values(inspected_at=at))
    looks: list[News] = [feed.look(datetime.now(UTC))]
    while looks[-1].more:
        looks.append(feed.look(datetime.now(UTC)))
    assert [len(look.verdicts) for look in looks] == [8, 8, 8]
    assert [size for look in looks for size in look.batches] == [4] * 6


@pytest.mark.parametrize("step", [timedelta(hours=-1), timedelta(hours=1), -3 * SECOND])
def test_a_clock_that_steps_counts_no_failure_twice(queue: Queue, engine: Engine, model: int, step: timedelta) -> None:
    """What was written by a clock that has been set since lies in the future, or long ago."""
    base = datetime.now(UTC)
    feed = Feed(engine, base)
    enqueue(queue, "line", arrivals(40))
    counted = 0

    def fail(at: datetime) -> None:
        claim = queue.claims.take("w", ["line"], 1, 60)[0]
        queue.outcomes.finish("w", model, [failed(claim)])
        with engine.begin() as connection:
            done = update(images).where(images.c.id == claim.image_id)
            connection.execute(done.values(finished_at=feeds.utc_text(at)))

    for second in range(10):
        fail(base + second * SECOND)
        counted += len(feed.look(base + second * SECOND).failed)
    assert counted == 10
    base += step
    counted += len(feed.look(base + 10 * SECOND).failed)
    for second in range(11, 30):
        fail(base + second * SECOND)
        counted += len(feed.look(base + second * SECOND).failed)
    assert counted == 29


def test_verdicts_are_followed_although_the_newest_was_removed(queue: Queue, engine: Engine, model: int) -> None:
    enqueue(queue, "line", arrivals(6))
    queue.outcomes.finish("w", model, [inspected(claim) for claim in queue.claims.take("w", ["line"], 5, 60)])
    feed = Feed(engine, datetime.now(UTC))
    with engine.begin() as connection:
        connection.execute(update(images).values(inspection_id=None))
        connection.execute(delete(inspections))
    assert feed.look(datetime.now(UTC)).verdicts == ()
    queue.outcomes.finish("w", model, [inspected(claim) for claim in queue.claims.take("w", ["line"], 5, 60)])
    with engine.connect() as connection:
        assert connection.scalars(select(inspections.c.id)).all() == [6]
    assert len(feed.look(datetime.now(UTC)).verdicts) == 1


def test_the_oldest_of_each_watch(queue: Queue, engine: Engine, feed: Feed) -> None:
    enqueue(queue, "a", arrivals(3))
    enqueue(queue, "b", arrivals(2))
    with engine.begin() as connection:
        old = "2026-11-24T10:00:00.000Z"
        connection.execute(update(images).where(images.c.id == 4).values(seen_at=old))
        connection.execute(delete(events))
    backlog = feed.look(datetime.now(UTC)).backlog
    assert backlog.counts == {("a", "queued"): 3, ("b", "queued"): 2}
    assert backlog.oldest["b"] == datetime(2026, 11, 24, 10, tzinfo=UTC)


def test_a_ledger_of_years_is_read_by_its_indexes(engine: Engine) -> None:
    """What is asked every two seconds, and what `inspectd status` asks about the last day."""
    asked: list[tuple[str, Any]] = []

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_c: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    Feed(engine, datetime.now(UTC)).look(datetime.now(UTC))
    recent(engine, datetime.now(UTC))
    questions = [(statement, values) for statement, values in asked if statement.startswith("SELECT")]
    assert len(questions) >= 11
    with engine.connect() as connection:
        for statement, values in questions:
            if "ORDER BY images.finished_at DESC" not in statement:  # the newest thousand, from the index's own end
                plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
                assert not any(line.startswith("SCAN") for line in plan), (statement, plan)
