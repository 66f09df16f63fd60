"""The list of overlays that are to be drawn again."""

from dataclasses import replace

from sqlalchemy import Engine, text
from support.queueing import LEASE, arrivals, enqueue, inspected

from inspectd.ledger.write.queue import Queue


def judged(queue: Queue, model: int, number: int) -> list[int]:
    """So many images with a verdict; the ids of their inspections, which are counted from 1."""
    enqueue(queue, "line", arrivals(number))
    claims = queue.claims.take("w", ["line"], number, LEASE)
    queue.outcomes.finish("w", model, [inspected(claim) for claim in claims])
    return list(range(1, number + 1))


def test_each_is_taken_once_and_in_order(queue: Queue, model: int) -> None:
    first, second, third = judged(queue, model, 3)
    queue.redraws.add([third, first])
    queue.redraws.add([first, second])
    assert queue.redraws.count(["line"]) == 3
    taken = queue.redraws.take(["line"], 2)
    assert [each.inspection_id for each in taken] == [first, second]
    assert (taken[0].model_id, taken[0].path, taken[0].overlay) == (model, "000000.png", "line/2026-11-23/1.jpg")
    assert [each.inspection_id for each in queue.redraws.take(["line"], 2)] == [third]
    assert queue.redraws.take(["line"], 2) == []


def test_knows_how_the_heat_was_computed(queue: Queue, model: int, engine: Engine) -> None:
    enqueue(queue, "line", arrivals(2))
    claims = queue.claims.take("w", ["line"], 2, LEASE)
    queue.outcomes.finish("w", model, [replace(inspected(claim), method="layercam") for claim in claims])
    with engine.begin() as connection:  # as a version left it that knew Grad-CAM alone
        connection.execute(text("UPDATE inspections SET method = NULL WHERE id = 2"))
    queue.redraws.add([1, 2])
    assert [each.method for each in queue.redraws.take(["line"], 2)] == ["layercam", "gradcam"]


def test_a_watch_that_is_not_served_waits(queue: Queue, model: int) -> None:
    queue.redraws.add(judged(queue, model, 1))
    assert queue.redraws.count(["other"]) == 0
    assert queue.redraws.take(["other"], 5) == []
    assert queue.redraws.count(["line"]) == 1


def test_what_has_no_overlay_any_more_is_not_drawn(queue: Queue, model: int, engine: Engine) -> None:
    first, second = judged(queue, model, 2)
    queue.redraws.add([first, second])
    with engine.begin() as connection:
        connection.execute(text("UPDATE inspections SET overlay = NULL WHERE id = 1"))
    assert queue.redraws.count(["line"]) == 1
    queue.redraws.add([first])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT inspection_id FROM redraws")).all() == [(second,)]
