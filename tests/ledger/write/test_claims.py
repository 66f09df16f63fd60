"""Claims: order, fairness, leases, deaths. The clock is the test's own; the processes are in test_processes.py."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine, delete, event, select
from support.queueing import HandClock, arrivals, enqueue, inspected, read, stat

from inspectd.ledger import trail
from inspectd.ledger.records import Arrival, Claim, Counts, Unsettled
from inspectd.ledger.schema import events, images
from inspectd.ledger.write.queue import Queue

LINE = ["line"]


def states(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(select(images.c.state).order_by(images.c.id)))


def test_oldest_first_and_watches_take_turns(queue: Queue) -> None:
    queue.arrivals.enqueue("a", arrivals(4))
    queue.arrivals.enqueue("b", arrivals(2))
    claims = queue.claims.take("w", ["a", "b"], 5, 60)
    assert [(claim.watch, claim.path) for claim in claims] == [
        ("a", "000000.png"),
        ("b", "000000.png"),
        ("a", "000001.png"),
        ("b", "000001.png"),
        ("a", "000002.png"),
    ]
    assert all(claim.attempt == 1 for claim in claims)


def test_a_claim_of_one_also_takes_turns(queue: Queue) -> None:
    queue.arrivals.enqueue("a", arrivals(3))
    queue.arrivals.enqueue("b", arrivals(3))
    assert [queue.claims.take("w", ["a", "b"], 1, 60)[0].watch for _ in range(6)] == ["a", "b", "a", "b", "a", "b"]


def test_a_backlog_in_one_watch_does_not_hold_up_another(queue: Queue, model: int) -> None:
    enqueue(queue, "busy", arrivals(20_000))
    queue.outcomes.finish("w", model, [inspected(claim) for claim in queue.claims.take("w", ["busy", "quiet"], 16, 60)])
    queue.arrivals.enqueue("quiet", arrivals(1))
    claimed = [claim.watch for _ in range(2) for claim in queue.claims.take("w", ["busy", "quiet"], 16, 60)]
    assert "quiet" in claimed


def test_only_the_watches_asked_for(queue: Queue) -> None:
    queue.arrivals.enqueue("a", arrivals(1))
    assert queue.claims.take("w", ["b"], 5, 60) == []
    assert queue.claims.take("w", [], 5, 60) == []


def test_a_second_content_of_a_path_waits_for_the_first(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    (first,) = queue.claims.take("w", LINE, 5, 60)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2)), Arrival("b.png", stat(3))])
    assert [claim.path for claim in queue.claims.take("v", LINE, 5, 60)] == ["b.png"]
    queue.outcomes.finish("w", model, [inspected(first)])
    assert [claim.stat for claim in queue.claims.take("v", LINE, 5, 60)] == [stat(2)]


def test_an_expired_lease_goes_to_the_next_claim_and_its_owner_cannot_finish(
    queue: Queue, clock: HandClock, model: int
) -> None:
    queue.arrivals.enqueue("line", arrivals(1))
    (lost,) = queue.claims.take("w", LINE, 1, lease=10)
    clock.seconds += 9.9
    assert queue.claims.take("v", LINE, 1, 10) == []
    clock.seconds += 0.2
    assert queue.outcomes.finish("w", model, [inspected(lost)]) == set()  # expired, although no other worker has it yet
    assert queue.claims.renew("w", 10) == 0
    (found,) = queue.claims.take("v", LINE, 1, 10)
    assert (found.image_id, found.attempt, found.alone) == (lost.image_id, 2, True)
    assert queue.outcomes.finish("w", model, [inspected(lost)]) == set()
    assert queue.outcomes.finish("v", model, [inspected(found)]) == {found.image_id}


def test_a_lease_of_another_boot_has_expired(queue: Queue, clock: HandClock) -> None:
    queue.arrivals.enqueue("line", arrivals(1))
    (before,) = queue.claims.take("w", LINE, 1, 60)
    clock.boot, clock.seconds = "second boot", 5.0
    (after,) = queue.claims.take("w", LINE, 1, 60)
    assert (after.image_id, after.attempt) == (before.image_id, 2)


def test_expired_leases_are_in_the_trail_and_in_the_log_once(
    queue: Queue, engine: Engine, clock: HandClock, caplog: pytest.LogCaptureFixture
) -> None:
    queue.arrivals.enqueue("line", arrivals(3))
    queue.claims.take("w", LINE, 2, 60)
    queue.claims.take("v", LINE, 5, 90)
    assert caplog.records == []
    clock.seconds += 61
    queue.claims.take("v", LINE, 5, 60)
    queue.claims.take("v", LINE, 5, 60)
    with engine.connect() as connection:
        [(kind, detail)] = connection.execute(select(events.c.kind, events.c.detail)).all()
    assert (kind, trail.expired_count(detail)) == (trail.LEASE_EXPIRED, 2)
    [line] = caplog.records
    assert (line.__dict__["event"], line.getMessage(), line.levelname) == (kind, detail, "WARNING")


def test_renewal_keeps_a_lease_alive(queue: Queue, clock: HandClock, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(2))
    claims = queue.claims.take("w", LINE, 2, 10)
    for _ in range(5):
        clock.seconds += 8
        assert queue.claims.renew("w", 10) == 2
    assert queue.outcomes.finish("w", model, [inspected(claim) for claim in claims]) == {
        claim.image_id for claim in claims
    }


def test_an_older_attempt_of_the_same_owner_is_fenced(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(1))
    (first,) = queue.claims.take("w", LINE, 1, 60)
    queue.claims.release("w", died=False)
    (second,) = queue.claims.take("w", LINE, 1, 60)
    assert queue.outcomes.finish("w", model, [inspected(first)]) == set()
    assert queue.outcomes.finish("v", model, [inspected(second)]) == set()
    assert queue.outcomes.finish("w", model, [inspected(second)]) == {second.image_id}


def test_what_a_claim_says_of_its_file_is_part_of_the_fence(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(1))
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    for other in (replace(claim, path="other.png"), replace(claim, watch="other")):
        assert queue.outcomes.finish("w", model, [inspected(other)]) == set()
    assert queue.outcomes.finish("w", model, [inspected(claim)]) == {claim.image_id}


def test_the_id_of_a_row_that_is_gone_is_given_to_no_other_file(
    queue: Queue, engine: Engine, clock: HandClock, model: int
) -> None:
    """Whatever takes the newest row away: a fold, a newer content of the file, or a lease that ran out over one."""
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    (first,) = queue.claims.take("w", LINE, 1, 60)
    queue.outcomes.finish("w", model, [inspected(first, sha="1" * 64)])
    gone = []

    def claimed(name: str, number: int) -> Claim:
        queue.arrivals.enqueue("line", [Arrival(name, stat(number))])
        (claim,) = queue.claims.take("w", LINE, 1, 60)
        gone.append(claim.image_id)
        return claim

    queue.outcomes.fold("w", [read(claimed("a.png", 2), "1" * 64)])
    unsettled = claimed("b.png", 3)
    queue.arrivals.enqueue("line", [Arrival("b.png", stat(4))])
    queue.outcomes.finish("w", model, [Unsettled(unsettled)])
    (newer,) = queue.claims.take("w", LINE, 1, 60)
    gone.append(newer.image_id)
    queue.arrivals.enqueue("line", [Arrival("b.png", stat(5))])
    clock.seconds += 61
    (last,) = queue.claims.take("w", LINE, 1, 60)
    assert not {first.image_id, last.image_id} & set(gone)
    assert len(set(gone)) == 3
    with engine.begin() as connection:
        connection.execute(delete(images).where(images.c.id == last.image_id))
    queue.arrivals.enqueue("line", [Arrival("c.png", stat(6))])
    assert queue.claims.take("w", LINE, 1, 60)[0].image_id > last.image_id


def test_release_without_a_death_puts_a_batch_back_as_it_was(queue: Queue) -> None:
    queue.arrivals.enqueue("line", arrivals(3))
    queue.claims.take("w", LINE, 3, 60)
    assert queue.claims.release("w", died=False) == 3
    assert [claim.alone for claim in queue.claims.take("w", LINE, 3, 60)] == [False] * 3


def test_after_a_death_each_image_is_claimed_alone(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(3))
    queue.claims.take("w", LINE, 2, 60)
    queue.claims.release("w", died=True)
    sizes = []
    while claims := queue.claims.take("w2", LINE, 8, 60):
        assert not queue.claims.take("w2", LINE, 8, 60)  # nothing more while it holds an image alone
        sizes.append(len(claims))
        queue.outcomes.finish("w2", model, [inspected(claim) for claim in claims])
    assert sizes == [1, 1, 1]


def test_an_image_is_not_claimed_alone_by_an_owner_that_holds_others(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(1))
    queue.claims.take("w", LINE, 1, 60)
    queue.arrivals.enqueue("line", arrivals(1, start=1))
    held = queue.claims.take("v", LINE, 1, 60)
    queue.claims.release("w", died=True)
    assert queue.claims.take("v", LINE, 8, 60) is None
    queue.outcomes.finish("v", model, [inspected(claim) for claim in held])
    assert [claim.alone for claim in queue.claims.take("v", LINE, 8, 60)] == [True]


def test_the_third_death_alone_fails_the_image_and_only_it(queue: Queue, engine: Engine, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(2))
    queue.claims.take("w", LINE, 2, 60)
    queue.claims.release("w", died=True)  # of two images: neither is blamed
    for death in range(3):
        (killer,) = queue.claims.take(f"w{death}", LINE, 8, 60)
        assert killer.path == "000000.png"
        assert queue.claims.release(f"w{death}", died=True) == 1
    (other,) = queue.claims.take("w9", LINE, 8, 60)
    queue.outcomes.finish("w9", model, [inspected(other)])
    assert states(engine) == ["failed", "done"]
    with engine.connect() as connection:
        reason = connection.scalar(select(images.c.reason).where(images.c.state == "failed"))
    assert str(reason).startswith("crashes the worker")


def test_a_supervisor_that_starts_takes_back_what_the_last_one_left(queue: Queue) -> None:
    queue.arrivals.enqueue("line", arrivals(2))
    queue.arrivals.enqueue("other", arrivals(1))
    queue.claims.take("gone", ["line", "other"], 3, 60)
    assert queue.claims.release_watches(LINE) == 2
    assert queue.open_count(["line", "other"]) == Counts(queued=2, claimed=1)
    assert [claim.alone for claim in queue.claims.take("w", LINE, 8, 60)] == [True]


@pytest.mark.parametrize("way", ["unsettled", "released", "restarted", "expired"])
def test_a_claimed_row_gives_way_to_newer_content_of_its_path(
    queue: Queue, engine: Engine, clock: HandClock, model: int, way: str
) -> None:
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    if way == "unsettled":
        assert queue.outcomes.finish("w", model, [Unsettled(claim)]) == {claim.image_id}
    elif way == "released":
        queue.claims.release("w", died=True)
    elif way == "restarted":
        queue.claims.release_watches(LINE)
    else:
        clock.seconds += 61
    (newer,) = queue.claims.take("v", LINE, 8, 60)
    assert newer.stat == stat(2)
    assert states(engine) == ["claimed"]


def test_the_statements_of_a_batch_do_not_grow_with_the_backlog(queue: Queue, engine: Engine, model: int) -> None:
    asked: list[tuple[str, tuple[object, ...]]] = []
    queue.arrivals.enqueue("line", arrivals(40))

    @event.listens_for(engine, "before_cursor_execute")
    def _note(_c: object, _cursor: object, statement: str, values: object, _context: object, many: bool) -> None:
        if not statement.startswith(("PRAGMA", "BEGIN", "EXPLAIN", "INSERT")):
            asked.append((statement, values[0] if many else values))  # type: ignore[index, arg-type]

    claims = queue.claims.take("w", LINE, 16, 60)
    queue.outcomes.fold("w", [read(claim, "0" * 64) for claim in claims])
    queue.outcomes.finish("w", model, [inspected(claim) for claim in claims], after=LINE)
    assert len(queue.after.pending(["line", "other"], 100)) == 16
    with engine.connect() as connection:
        for statement, values in list(asked):
            plan = " / ".join(row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values))
            few = ("images_after", "images_claimed")  # partial indexes: what is owed, and what is in hand
            assert "SCAN images" not in plan or any(f"SCAN images USING INDEX {index}" in plan for index in few)
            assert "TEMP B-TREE" not in plan
            assert "images_seen (watch=?)" not in plan
            assert "(state=?)" not in plan, "a search through all rows of one state"
    assert len(asked) >= 6
