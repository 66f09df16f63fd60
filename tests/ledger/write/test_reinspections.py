"""The list of earlier images that a model is to judge again."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text
from support.queueing import LEASE, arrivals, enqueue, inspected, register

from inspectd.domain import Verdict
from inspectd.ledger.database import open_writer
from inspectd.ledger.read.feed import Feed
from inspectd.ledger.read.reinspections import NotReinspected, not_reinspected, reinspection_progress
from inspectd.ledger.read.status import recent, status
from inspectd.ledger.records import Cursor, EarlierImage, Inspected, ReinspectionCounts, ReinspectionRequest
from inspectd.ledger.schema import After
from inspectd.ledger.write.queue import Queue
from inspectd.ledger.write.reinspections import CRASHES
from inspectd.ledger.write.retention import RetentionLedger

OTHER = "cd" * 32


@pytest.fixture
def other(queue: Queue) -> int:
    return register(queue, "other", OTHER)


def judged(queue: Queue, model: int, number: int, after: Sequence[str] = ()) -> list[int]:
    """So many images with a verdict; their ids."""
    enqueue(queue, "line", arrivals(number))
    claims = queue.claims.take("w", ["line"], number, LEASE)
    return sorted(queue.outcomes.finish("w", model, [inspected(claim) for claim in claims], after))


def asked(queue: Queue, ids: Sequence[int]) -> ReinspectionRequest:
    queue.reinspections.add(OTHER, "/models/other", ids)
    request = queue.reinspections.next_request()
    assert request is not None
    return request


def ids(past: Sequence[EarlierImage]) -> list[int]:
    return [each.claim.image_id for each in past]


def again(past: Sequence[EarlierImage]) -> list[Inspected]:
    return [inspected(each.claim, Verdict.DEFECT) for each in past]


def rows(engine: Engine, sql: str) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return list(map(tuple, connection.execute(text(sql))))


def test_what_is_judged_again_leaves_the_list_and_changes_no_verdict(
    queue: Queue, model: int, other: int, engine: Engine
) -> None:
    first, second, third = judged(queue, model, 3)
    request = asked(queue, [first, second, third])
    assert (request.bundle, request.path, request.waits) == (OTHER, "/models/other", True)
    past = queue.reinspections.take(request, 2)
    assert ids(past) == [first, second]
    assert queue.reinspections.count() == 3
    assert queue.reinspections.record(request, other, again(past[:1]), [(second, "vanished: it is gone")]) == 1
    assert queue.reinspections.count() == 1
    assert rows(engine, "SELECT verdict, count(*) FROM verdicts GROUP BY 1") == [("ok", 3)]
    assert rows(engine, f"SELECT image_id, verdict FROM inspections WHERE model_id = {other}") == [(first, "defect")]
    past = queue.reinspections.take(request, 2)
    assert ids(past) == [third]
    queue.reinspections.record(request, other, again(past), [])
    queue.reinspections.close(request)
    assert queue.reinspections.next_request() is None
    (told,) = rows(engine, "SELECT detail FROM events WHERE kind = 'reinspect'")
    assert told == ("other@cdcdcdcd has judged 2 earlier images again; 1 could not be: 1 vanished",)
    (standing,) = reinspection_progress(engine)
    assert (standing.waiting, standing.judged, standing.failed) == (0, 2, 1)
    assert list(not_reinspected(engine)) == [
        NotReinspected("other@cdcdcdcd", second, "line", "000001.png", "vanished: it is gone")
    ]


def test_asking_again_adds_what_is_missing_and_tries_again_what_could_not_be(
    queue: Queue, model: int, other: int, engine: Engine
) -> None:
    done = judged(queue, model, 3)
    queue.arrivals.enqueue("line", arrivals(1, start=10))
    assert queue.reinspections.add(OTHER, "/m", [*done[:2], 4]) == ReinspectionCounts(listed=2, without=1)
    assert queue.reinspections.add(OTHER, "/m", done) == ReinspectionCounts(listed=1, waiting=2)
    request = queue.reinspections.next_request()
    assert request is not None
    past = queue.reinspections.take(request, 3)
    queue.reinspections.record(request, other, again(past[:1]), [(done[1], "vanished: it is gone")])
    assert queue.reinspections.add(OTHER, "/m", done) == ReinspectionCounts(listed=1, judged=1, waiting=1)
    assert list(not_reinspected(engine)) == []
    queue.reinspections.refuse(request, "refused: it is not the model")
    assert queue.reinspections.next_request() is None
    assert [each.image for each in not_reinspected(engine)] == done[1:]
    assert queue.reinspections.add(OTHER, "/m", done) == ReinspectionCounts(listed=2, judged=1)
    assert list(not_reinspected(engine)) == []


def test_a_file_that_is_gone_by_rule_is_told_at_once(queue: Queue, model: int, engine: Engine) -> None:
    first, second = judged(queue, model, 2, after=["line"])
    deleted, moved = queue.after.pending(["line"], 2)
    queue.after.record([(deleted, After.DELETED, None), (moved, After.MOVED, "/archive/000001.png")])
    assert queue.reinspections.add(OTHER, "/m", [first, second]) == ReinspectionCounts(listed=1, gone=1)
    assert [each.reason.split(":")[0] for each in not_reinspected(engine)] == ["deleted"]
    request = queue.reinspections.next_request()
    assert request is not None
    assert [each.moved_to for each in queue.reinspections.take(request, 5)] == ["/archive/000001.png"]


def test_an_image_whose_attempt_came_to_no_end_is_taken_alone_and_given_up_in_the_end(
    queue: Queue, model: int, other: int, engine: Engine
) -> None:
    first, second, third = judged(queue, model, 3)
    request = asked(queue, [first, second, third])
    assert ids(queue.reinspections.take(request, 2)) == [first, second]
    assert ids(queue.reinspections.take(request, 2)) == [first]  # a worker died over these two
    past = queue.reinspections.take(request, 2)  # and once more
    assert ids(past) == [first]
    assert ids(queue.reinspections.take(request, 2)) == [second]
    assert list(not_reinspected(engine)) == [NotReinspected("other@cdcdcdcd", first, "line", "000000.png", CRASHES)]
    assert queue.reinspections.record(request, other, again(past), []) == 1, (
        "late, and it still counts: it is on the list"
    )


def test_a_model_that_workers_die_of_is_opened_no_more_unless_it_judges_something(
    queue: Queue, model: int, other: int
) -> None:
    request = asked(queue, judged(queue, model, 2))
    assert [queue.reinspections.begin_opening(request) for _ in range(4)] == [True] * 4
    queue.reinspections.forget_opening(request)
    assert [queue.reinspections.begin_opening(request) for _ in range(4)] == [True] * 4
    queue.reinspections.record(request, other, again(queue.reinspections.take(request, 1)), [])
    assert [queue.reinspections.begin_opening(request) for _ in range(6)] == [True] * 5 + [False]


def test_what_two_workers_took_counts_once(queue: Queue, model: int, other: int, engine: Engine) -> None:
    request = asked(queue, judged(queue, model, 2))
    past = queue.reinspections.take(request, 2)
    assert queue.reinspections.record(request, other, again(past), []) == 2
    assert queue.reinspections.record(request, other, again(past), []) == 0
    queue.reinspections.close(request)
    queue.reinspections.close(request)
    assert rows(engine, f"SELECT count(*) FROM inspections WHERE model_id = {other}") == [(2,)]
    assert len(rows(engine, "SELECT 1 FROM events WHERE kind = 'reinspect'")) == 1


def test_the_list_can_be_cancelled(queue: Queue, model: int, engine: Engine) -> None:
    done = judged(queue, model, 2)
    asked(queue, done)
    assert queue.reinspections.cancel("ef" * 32) == 0
    assert queue.reinspections.cancel() == 2
    assert (queue.reinspections.count(), queue.reinspections.next_request()) == (0, None)
    assert {each.reason for each in not_reinspected(engine)} == {"cancelled: a person took it off the list"}
    assert queue.reinspections.add(OTHER, "/m", done) == ReinspectionCounts(listed=2)


def test_figures_and_metrics_are_of_the_verdicts_in_force(queue: Queue, model: int, other: int, engine: Engine) -> None:
    done = judged(queue, model, 3)
    last = status(engine, ["line"]).last_verdict_at
    now = datetime.now(UTC)
    feed = Feed(engine, now)
    request = asked(queue, done)
    past = queue.reinspections.take(request, 2)
    queue.reinspections.record(request, other, again(past), [])
    assert feed.look(now).verdicts == ()
    found = recent(engine, now)
    assert (found.outcomes["ok"], found.outcomes["defect"], found.sample) == (3, 0, 3)
    stands = status(engine, ["line"])
    assert (stands.last_verdict_at, stands.reinspecting) == (last, 1)
    assert stands.watches[0].model == "demo@abababab"
    queue.arrivals.enqueue("line", arrivals(1, start=10))
    queue.outcomes.finish("w", model, [inspected(claim) for claim in queue.claims.take("w", ["line"], 1, LEASE)])
    assert len(feed.look(now).verdicts) == 1


def test_retention_takes_an_image_with_all_its_inspections_and_off_the_list(
    url: str, queue: Queue, model: int, other: int, engine: Engine
) -> None:
    first, second, third, fourth = judged(queue, model, 4)
    request = asked(queue, [first, second, third])
    past = queue.reinspections.take(request, 2)
    queue.reinspections.record(request, other, again(past[:1]), [])
    queue.reinspections.record(request, other, again(past[1:]), [])
    expiry = RetentionLedger(open_writer(url, foreign_keys=False))
    assert [each.image_id for each in expiry.overlays(Cursor(), 9)] == [first, second, third, fourth, first, second]
    assert [model for _, model in expiry.drawn([first])[first]] == ["abababab", "cdcdcdcd"]
    taken = queue.reinspections.take(request, 2)
    expiry.remove_rows({first: [], third: []})
    assert rows(engine, "SELECT image_id FROM inspections ORDER BY id") == [(second,), (fourth,), (second,)]
    assert queue.reinspections.count() == 0
    assert queue.reinspections.record(request, other, again(taken), []) == 0, (
        "it is gone, and what came of it counts no more"
    )
