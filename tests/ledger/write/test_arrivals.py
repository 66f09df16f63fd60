"""Ingest's side of the queue: what becomes a row, what is the same arrival again, and what is known."""

import os
from pathlib import Path

import pytest
from sqlalchemy import Engine, select
from support.queueing import arrivals, enqueue, inspected, read, sha256, stat

from inspectd.domain import Stat
from inspectd.ledger.records import Arrival, Counts, Failed, Unsettled, UnsettledFile
from inspectd.ledger.schema import images
from inspectd.ledger.write.queue import Queue
from inspectd.paths import from_text, to_text

LINE = ["line"]


def rows(engine: Engine) -> list[tuple[str, str, int]]:
    with engine.connect() as connection:
        query = select(images.c.path, images.c.state, images.c.size).order_by(images.c.id)
        return [tuple(row) for row in connection.execute(query)]


def test_a_file_is_enqueued_once_and_then_known(queue: Queue, engine: Engine) -> None:
    files = arrivals(3)
    assert queue.arrivals.known("line", [(file.path, file.stat) for file in files]) == set()
    assert queue.arrivals.enqueue("line", files) == 3
    assert queue.arrivals.enqueue("line", files) == 0
    assert queue.arrivals.known("line", [(file.path, file.stat) for file in files]) == {file.path for file in files}
    assert queue.arrivals.known("other", [(file.path, file.stat) for file in files]) == set()
    assert queue.arrivals.known("line", [(files[0].path, stat(99))]) == set()
    assert [state for _, state, _ in rows(engine)] == ["queued"] * 3


def test_an_open_row_takes_the_newer_stat(queue: Queue, engine: Engine) -> None:
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    assert queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))]) == 1
    assert rows(engine) == [("a.png", "queued", stat(2).size)]


def test_new_content_during_a_claim_is_a_row_of_its_own(queue: Queue, engine: Engine) -> None:
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    queue.claims.take("w", LINE, 1, 60)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    assert rows(engine) == [("a.png", "claimed", stat(1).size), ("a.png", "queued", stat(2).size)]


def test_known_finds_one_stat_among_many_contents_of_one_name(queue: Queue, model: int) -> None:
    for number in range(50):
        queue.arrivals.enqueue("line", [Arrival("latest.png", stat(number))])
        queue.outcomes.finish("w", model, [inspected(claim) for claim in queue.claims.take("w", LINE, 1, 60)])
    seen = [("latest.png", stat(17)), ("other.png", stat(49))]
    assert queue.arrivals.known("line", seen) == {"latest.png"}


def test_a_stalled_file_is_counted_and_comes_back_when_it_is_whole(queue: Queue, engine: Engine) -> None:
    assert queue.arrivals.stall("line", [Arrival("a.png", stat(1))], "stalled: still growing after 600 s") == 1
    assert queue.open_count(LINE) == Counts(stalled=1)
    assert queue.arrivals.known("line", [("a.png", stat(1))]) == set()
    assert queue.claims.take("w", LINE, 1, 60) == []
    assert queue.arrivals.enqueue("line", [Arrival("a.png", stat(2), "4711", {"part": "4711"})]) == 1
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    assert (claim.stat, claim.reason, claim.part, claim.fields) == (stat(2), None, "4711", {"part": "4711"})
    assert len(rows(engine)) == 1


def test_a_second_look_brings_back_the_hash_and_the_reason_of_the_first(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    (first,) = queue.claims.take("w", LINE, 1, 60)
    assert first.sha256 is None
    queue.outcomes.finish("w", model, [Unsettled(first, "truncated: the file ends early", sha256(7))])
    assert queue.arrivals.unsettled("line") == [UnsettledFile("a.png", second_look=True)]
    assert queue.arrivals.unsettled("other") == []
    assert queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))]) == 1  # the very same stat, and yet not ignored
    (second,) = queue.claims.take("w", LINE, 1, 60)
    assert (second.sha256, second.reason, second.attempt) == (sha256(7), "truncated: the file ends early", 2)
    queue.outcomes.finish("w", model, [Failed(second, "truncated: the file ends early")])
    assert queue.arrivals.known("line", [("a.png", stat(1))]) == {"a.png"}


def test_files_that_vanish_before_they_are_judged_end_as_failures(queue: Queue, engine: Engine, model: int) -> None:
    queue.arrivals.enqueue("line", arrivals(2))
    first, _ = queue.claims.take("w", LINE, 2, 60)
    queue.outcomes.finish("w", model, [Unsettled(first)])
    queue.arrivals.stall("line", [Arrival("slow.png", stat(9))], "stalled: still growing after 600 s")
    assert queue.arrivals.close_vanished("line", [first.path, "slow.png", "000001.png", "never seen.png"]) == 2
    assert [state for _, state, _ in rows(engine)] == ["failed", "claimed", "failed"]


def test_a_file_that_comes_back_after_it_had_vanished_is_taken_up_again(queue: Queue, engine: Engine) -> None:
    """A disk that was away for a while: the same file, the same stat, and the failure no longer true."""
    queue.arrivals.stall("line", [Arrival("a.png", stat(1))], "stalled: still growing after 600 s")
    assert queue.arrivals.unsettled("line") == [UnsettledFile("a.png", second_look=False)]
    assert queue.arrivals.close_vanished("line", ["a.png"]) == 1
    assert queue.arrivals.unsettled("line") == []
    assert queue.arrivals.known("line", [("a.png", stat(1))]) == set()
    assert queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))]) == 1
    assert rows(engine) == [("a.png", "queued", stat(1).size)]
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    assert claim.reason is None


def test_an_open_row_takes_the_place_of_a_vanished_one(queue: Queue, engine: Engine) -> None:
    """A disk comes back over a folder in which the same name was dropped meanwhile."""
    queue.arrivals.stall("line", [Arrival("a.png", stat(1))], "stalled: still growing after 600 s")
    queue.arrivals.close_vanished("line", ["a.png"])
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    assert queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))]) == 1
    assert rows(engine) == [("a.png", "queued", stat(1).size)]


def test_a_row_whose_files_stat_is_already_judged_still_leaves_settling(
    queue: Queue, engine: Engine, model: int
) -> None:
    """Touched twice while the first content was judged: the older row got the newest stat, this one must not hang."""
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1))])
    queue.outcomes.finish(
        "w", model, [inspected(claim, sha=sha256(7)) for claim in queue.claims.take("w", LINE, 1, 60)]
    )
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(2))])
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(3))])
    queue.outcomes.fold("w", [read(claim, sha256(7), stat(4))])
    assert rows(engine) == [("a.png", "done", stat(4).size), ("a.png", "queued", stat(3).size)]
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(4))])
    (again,) = queue.claims.take("w", LINE, 1, 60)
    assert queue.outcomes.fold("w", [read(again, sha256(7), stat(4))])
    assert rows(engine) == [("a.png", "done", stat(4).size)]


def test_more_than_a_chunk_in_one_transaction_is_refused(queue: Queue) -> None:
    with pytest.raises(ValueError, match="at most 500"):
        queue.arrivals.enqueue("line", arrivals(501))


def test_long_lists_never_meet_a_limit_on_parameters(queue: Queue) -> None:
    files = arrivals(40_000)
    enqueue(queue, "line", files)
    assert len(queue.arrivals.known("line", [(file.path, file.stat) for file in files])) == 40_000
    claims = queue.claims.take("w", LINE, 1_500, 60)
    assert len(claims) == 1_500
    assert queue.outcomes.fold("w", [read(claim, sha256(claim.image_id)) for claim in claims]) == {}
    assert queue.outcomes.finish("w", 1, [Unsettled(claim) for claim in claims]) == {claim.image_id for claim in claims}
    assert queue.arrivals.close_vanished("line", [claim.path for claim in claims]) == 1_500


@pytest.mark.parametrize(
    "name", [b"line\nbreak.png", b"x" * 251 + b".png", b"\xff\xfe caf\xe9.png", "né 100%41.png".encode()]
)
def test_any_name_goes_in_and_comes_out(queue: Queue, tmp_path: Path, name: bytes) -> None:
    file = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118 bytes, as the file system has them
    with open(file, "wb") as stream:  # noqa: PTH123
        stream.write(b"content")
    text = to_text(name)
    queue.arrivals.enqueue("line", [Arrival(text, Stat.of(os.stat(file)))])  # noqa: PTH116
    (claim,) = queue.claims.take("w", LINE, 1, 60)
    assert os.fsencode(from_text(claim.path)) == name
    assert claim.stat.size == len(b"content")


def test_a_close_is_remembered_with_the_stat_it_was_seen_for(queue: Queue, model: int) -> None:
    queue.arrivals.enqueue(
        "line", [Arrival("a.png", stat(1), closed=True), *(Arrival(f"{n}.png", stat(2)) for n in "bc")]
    )
    late_close = Arrival("b.png", stat(2), closed=True)  # the event came when the file was queued already
    queue.arrivals.enqueue("line", [late_close])
    closed, late, never = queue.claims.take("w", LINE, 3, 60)
    assert (closed.closed, late.closed, never.closed) == (True, True, False)
    queue.outcomes.finish(
        "w", model, [Unsettled(each, "truncated: the file ends early", sha256(7)) for each in (closed, late)]
    )
    queue.arrivals.enqueue("line", [Arrival("a.png", stat(1)), Arrival("b.png", stat(12))])  # the second was written to
    same, changed = queue.claims.take("w", LINE, 2, 60)
    assert (same.closed, changed.closed) == (True, False)
