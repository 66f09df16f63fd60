"""A ledger to be read."""

import pytest
from sqlalchemy import Engine, update
from support.queueing import inspected, register, stat

from inspectd.domain import Verdict
from inspectd.ledger.database import open_reader
from inspectd.ledger.records import Arrival, Failed
from inspectd.ledger.schema import images, inspections
from inspectd.ledger.write.queue import Queue

NAMES = ["ok-1.png", "crack-1.png", "doubt-1.png", "broken.png", "sub/ok-1.png", "waiting.png"]


@pytest.fixture
def reader(url: str, queue: Queue, engine: Engine, model: int) -> Engine:
    """One image of every verdict on `line`, by two models, and one more on `press`; an hour apart from 10:30 UTC."""
    other = register(queue, "press-model", "cd" * 32)
    queue.arrivals.enqueue(
        "line", [Arrival(name, stat(i), part=f"p{i}", fields={"part": f"p{i}"}) for i, name in enumerate(NAMES[:4])]
    )
    ok, crack, doubt, broken = queue.claims.take("w", ["line"], 4, 60)
    outcomes = [
        inspected(ok, Verdict.OK, 0.1),
        inspected(crack, Verdict.DEFECT, 0.9),
        inspected(doubt, Verdict.REVIEW, 0.5),
        Failed(broken, "truncated: the file ends early"),
    ]
    queue.outcomes.finish("w", model, outcomes)
    queue.arrivals.enqueue("press", [Arrival("sub/ok-1.png", stat(4), part="p1")])
    queue.outcomes.finish(
        "w", other, [inspected(claim, Verdict.OK, 0.2) for claim in queue.claims.take("w", ["press"], 1, 60)]
    )
    queue.arrivals.enqueue("press", [Arrival("waiting.png", stat(5))])
    with engine.begin() as connection:
        for hour, image_id in enumerate(range(1, 7)):
            at = f"2026-11-23T{10 + hour}:30:00.000Z"
            connection.execute(update(inspections).where(inspections.c.image_id == image_id).values(inspected_at=at))
            done = {"finished_at": at} if image_id < 6 else {}
            connection.execute(update(images).where(images.c.id == image_id).values(seen_at=at, **done))
    return open_reader(url)
