"""What becomes of a claim: verdicts, failures, folds, and what `after` has to do with the file."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, select, update
from support.queueing import HandClock, arrivals, inspected, read, register, sha256, stat

from inspectd.clock import utc_now, utc_text
from inspectd.domain import Verdict
from inspectd.ledger.backup import check
from inspectd.ledger.records import Arrival, Claim, Counts, Failed, Read, Unsettled
from inspectd.ledger.schema import After, images, inspections
from inspectd.ledger.write.queue import Queue

LINE = ["line"]


def only(engine: Engine, table: Any) -> Any:
    with engine.connect() as connection:
        return connection.execute(select(table)).one()


def judge_one(queue: Queue, model: int, number: int, content: int, after: tuple[str, ...] = ()) -> int:
    """Drop a.png with this stat and judge it as this content; returns its image id."""
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(number))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    queue.outcomes.finish("w", model, [inspected(claim, sha=sha256(content))], after)
    return claim.image_id


def test_a_batch_of_every_outcome_is_recorded(queue: Queue, engine: Engine, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(3))
    good, bad, moving = queue.claims.take("w", LINE, 3, 60)
    outcomes = [
        inspected(good, Verdict.DEFECT, 0.75),
        Failed(bad, "not an image: no format fits", sha256(5)),
        Unsettled(moving),
    ]
    assert queue.outcomes.finish("w", model, outcomes) == {good.image_id, bad.image_id, moving.image_id}
    assert queue.open_count(LINE) == Counts(settling=1)
    row = only(engine, inspections)
    assert (row.image_id, row.verdict, row.logits, row.score) == (good.image_id, "defect", [1.5, -2.5], 0.75)
    assert row.regions == [{"x": 1, "y": 2, "width": 3, "height": 4, "peak": 0.5}]
    assert (row.heat, row.heat_width, row.heat_max) == (bytes(range(64)), 8, 1.25)
    with engine.connect() as connection:
        done, failed, settling = connection.execute(select(images).order_by(images.c.id)).all()
    assert (done.state, done.inspection_id, done.sha256, done.finished_at) == (
        "done",
        row.id,
        sha256(good.image_id),
        row.inspected_at,
    )
    assert (failed.state, failed.reason, failed.sha256) == ("failed", "not an image: no format fits", sha256(5))
    assert (settling.state, settling.lease_owner, settling.finished_at) == ("settling", None, None)


def test_the_verdict_beside_an_image_is_the_one_in_force(queue: Queue, engine: Engine, model: int, url: str) -> None:
    def verdicts() -> list[str | None]:
        faults = [found.fault for found in check(url, LINE) if found.fault]
        assert faults == []
        with engine.connect() as connection:
            return list(connection.scalars(select(images.c.verdict).order_by(images.c.id)))

    queue.arrivals.enqueue("line", arrivals(4))
    assert verdicts() == [None] * 4
    good, bad, moving, killer = queue.claims.take("w", LINE, 4, 60)
    queue.outcomes.finish(
        "w", model, [inspected(good, Verdict.REVIEW), Failed(bad, "empty: nothing"), Unsettled(moving)]
    )
    assert verdicts() == ["review", "failed", None, None]
    queue.arrivals.close_vanished("line", [moving.path])
    assert verdicts() == ["review", "failed", "failed", None]
    queue.arrivals.enqueue("line", arrivals(1, start=2))  # it is back
    assert verdicts() == ["review", "failed", None, None]
    queue.claims.release("w", died=True)
    for death in range(3):
        while claims := queue.claims.take(f"w{death}", LINE, 8, 60):
            if claims[0].path == killer.path:
                break
            queue.outcomes.finish(f"w{death}", model, [inspected(claims[0], Verdict.DEFECT)])
        queue.claims.release(f"w{death}", died=True)
    assert verdicts() == ["review", "failed", "defect", "failed"]
    queue.arrivals.enqueue("line", [Arrival(good.path, stat(9))])  # overwritten
    queue.outcomes.finish(
        "w", model, [inspected(claim, sha=sha256(99)) for claim in queue.claims.take("w", LINE, 8, 60)]
    )
    assert verdicts() == ["review", "failed", "defect", "failed", "ok"]
    queue.reinspections.add("cd" * 32, "/models/other", [good.image_id])
    request = queue.reinspections.next_request()
    assert request
    (past,) = queue.reinspections.take(request, 8)
    queue.reinspections.record(
        request, register(queue, "other", "cd" * 32), [inspected(past.claim, Verdict.DEFECT)], []
    )
    assert verdicts() == ["review", "failed", "defect", "failed", "ok"], "what was acted upon stands"


def test_an_image_judged_before_by_the_same_model_keeps_its_verdict(queue: Queue, engine: Engine, model: int) -> None:
    judge_one(queue, model, 1, 1)
    with engine.begin() as connection:  # as an operator would, to have it looked at again
        connection.execute(images.update().values(state="queued", inspection_id=None))
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    assert queue.outcomes.finish("w", model, [inspected(claim, Verdict.DEFECT)]) == {claim.image_id}
    assert only(engine, inspections).verdict == "ok"
    image = only(engine, images)
    assert (image.inspection_id, image.verdict) == (only(engine, inspections).id, "ok")


def test_a_touched_file_gets_no_second_verdict(queue: Queue, engine: Engine, model: int) -> None:
    first = judge_one(queue, model, 1, content=7)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    folded = queue.outcomes.fold("w", [read(claim, sha256(7))])
    image = only(engine, images)
    assert folded == {claim.image_id: first}
    assert (image.id, image.size, image.state, image.after) == (first, stat(2).size, "done", None)
    assert queue.arrivals.known("line", [("a.png", stat(2))]) == {"a.png"}
    assert queue.outcomes.finish("w", model, [inspected(claim)]) == set()


def test_other_content_is_not_folded_nor_is_old_content_that_comes_back(queue: Queue, model: int) -> None:
    judge_one(queue, model, 1, content=7)
    judge_one(queue, model, 2, content=8)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(3)), Arrival("b.png", stat(4))])
    again, other = queue.claims.take("w", LINE, 2, 60)
    assert queue.outcomes.fold("w", [read(again, sha256(7)), read(other, sha256(8))]) == {}


def test_a_repeated_failure_is_folded_and_a_cured_one_is_judged(queue: Queue, engine: Engine, model: int) -> None:
    def states() -> list[tuple[str, int]]:
        with engine.connect() as connection:
            query = select(images.c.state, images.c.size).order_by(images.c.id)
            return [tuple(row) for row in connection.execute(query)]

    def drop_again(number: int) -> Claim:
        queue.arrivals.enqueue("line", [Arrival("a.png", stat(number))])
        (claim,) = queue.claims.take("w", LINE, 1, 60)
        assert queue.outcomes.fold("w", [read(claim, sha256(7))]) == {}, (
            "a failure is no verdict: it must be tried again"
        )
        return claim

    queue.outcomes.finish("w", model, [Failed(drop_again(1), "too large: 99 bytes", sha256(7))])
    queue.outcomes.finish("w", model, [Failed(drop_again(2), "too large: 99 bytes", sha256(7))])
    assert states() == [("failed", stat(2).size)]
    queue.outcomes.finish("w", model, [Failed(drop_again(3), "damaged: bad checksum", sha256(7))])
    queue.outcomes.finish("w", model, [inspected(drop_again(4), sha=sha256(7))])
    assert states() == [("failed", stat(2).size), ("failed", stat(3).size), ("done", stat(4).size)]


def test_a_lost_claim_folds_nothing(queue: Queue, clock: HandClock, model: int) -> None:
    judge_one(queue, model, 1, content=7)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    clock.seconds += 61
    assert queue.outcomes.fold("w", [read(claim, sha256(7))]) == {}
    assert queue.claims.take("v", LINE, 1, 60)[0].image_id == claim.image_id


def test_what_is_owed_to_a_file_survives_until_it_is_settled(queue: Queue, engine: Engine, model: int) -> None:
    first = judge_one(queue, model, 1, content=7, after=("line",))
    (owed,) = queue.after.pending(LINE, 10)
    assert (owed.image_id, owed.path, owed.stat, owed.outcome) == (first, "a.png", stat(1), "ok")
    assert queue.after.pending(["other"], 10) == []
    queue.after.record([(owed, After.MOVED, "archive/line/ok/a.png")])
    assert queue.after.pending(LINE, 10) == []
    assert only(engine, images).moved_to == "archive/line/ok/a.png"
    queue.after.record([(owed, After.KEPT, None)])  # too late: it has been settled
    assert only(engine, images).after == "moved"


def test_a_folded_file_owes_again(queue: Queue, model: int) -> None:
    first = judge_one(queue, model, 1, content=7, after=("line",))
    (settled,) = queue.after.pending(LINE, 10)
    queue.after.record([(settled, After.MOVED, "archive/a.png")])
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    queue.outcomes.fold("w", [read(claim, sha256(7))], after=("line",))
    assert [(owed.image_id, owed.stat) for owed in queue.after.pending(LINE, 10)] == [(first, stat(2))]


def test_what_became_of_the_file_before_settles_nothing_for_one_that_was_dropped_again(
    queue: Queue, engine: Engine, model: int
) -> None:
    judge_one(queue, model, 1, content=7, after=("line",))
    (before,) = queue.after.pending(LINE, 10)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    queue.outcomes.fold("w", [read(claim, sha256(7))], after=("line",))
    queue.after.record([(before, After.KEPT, None)])  # another file lay there
    (again,) = queue.after.pending(LINE, 10)
    queue.after.record([(again, After.MOVED, "archive/a.png")])
    assert only(engine, images).moved_to == "archive/a.png"


def test_a_file_that_may_be_unfinished_is_owed_later_or_when_a_newer_one_came(
    queue: Queue, engine: Engine, model: int
) -> None:
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1)), Arrival("b.png", stat(2)), Arrival("c.png", stat(3))])
    judged, failed, over = queue.claims.take("w", LINE, 3, 60)
    outcomes = [
        replace(inspected(judged, sha=sha256(7)), quiet=600.0),
        Failed(failed, "truncated: the file ends early", sha256(8), quiet=600.0),
        Failed(over, "truncated: the file ends early", sha256(9), quiet=0.001),
    ]
    queue.outcomes.finish("w", model, outcomes, LINE)
    wall_clock_passes()
    assert [owed.path for owed in queue.after.pending(LINE, 10)] == ["c.png"]

    assert queue.after.next_due(LINE) is not None
    with engine.begin() as connection:  # as after the clock was set back by years
        connection.execute(update(images).where(images.c.path == "b.png").values(after_at="2041-01-01T00:00:00.000Z"))
    queue.after.shorten_waits(["other"], 0.001)
    queue.after.shorten_waits(LINE, 3600.0)
    with engine.connect() as connection:
        waits = dict(connection.execute(select(images.c.path, images.c.after_at).where(images.c.path != "c.png")).all())
    assert waits["a.png"] < utc_text(datetime.now(UTC) + timedelta(seconds=601)), "as before"
    assert utc_text(datetime.now(UTC) + timedelta(seconds=3500)) < waits["b.png"] < "2041", "anew"
    assert [owed.path for owed in queue.after.pending(LINE, 10)] == ["c.png"]

    queue.arrivals.enqueue("line", [Arrival("a.png", stat(11)), Arrival("b.png", stat(12))])  # both are written to
    assert [owed.path for owed in queue.after.pending(LINE, 10)] == ["a.png", "b.png", "c.png"]
    queue.after.record([(owed, After.KEPT, None) for owed in queue.after.pending(LINE, 10)])
    touched, again = queue.claims.take("w", LINE, 2, 60)
    queue.outcomes.fold("w", [Read(touched, sha256(7), touched.stat, 600.0)], LINE)
    queue.outcomes.finish("w", model, [Failed(again, "truncated: the file ends early", sha256(8), quiet=600.0)], LINE)
    assert queue.after.pending(LINE, 10) == [], "the same contents wait anew, from their last change on"
    with engine.connect() as connection:
        rows = connection.execute(select(images.c.path, images.c.after).order_by(images.c.id)).all()
    assert rows == [("a.png", "pending"), ("b.png", "pending"), ("c.png", "kept")]


def wall_clock_passes() -> None:
    """Returns when the ledger's times, which have milliseconds, have moved on by two of them."""
    then = utc_text(datetime.now(UTC) + timedelta(milliseconds=2))
    while utc_now() < then:
        pass


def test_a_watch_that_keeps_its_files_owes_nothing(queue: Queue, model: int) -> None:
    judge_one(queue, model, 1, content=7, after=("other",))
    assert queue.after.pending(LINE, 10) == []


@pytest.mark.parametrize("times", [1, 2])
def test_a_model_is_registered_once_by_its_bundle(queue: Queue, times: int) -> None:
    rows = {register(queue) for _ in range(times)}
    assert len(rows) == 1
    assert register(queue, bundle="cd" * 32) not in rows
