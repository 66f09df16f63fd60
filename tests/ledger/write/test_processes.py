"""The queue under real processes on one SQLite file: no overlap, no late finish, no loss, no starvation."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest
from sqlalchemy import Engine, func, select
from support import queueing as ledger

from inspectd.ledger.database import open_writer
from inspectd.ledger.records import Counts
from inspectd.ledger.schema import images, inspections
from inspectd.ledger.write.queue import Queue

SPAWN = multiprocessing.get_context("spawn")
LINE = ["line"]
Start = Callable[..., tuple[Any, Connection]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process on `function(*args, report)`; returns it and the other end of its report."""
    started = []

    def begin(function: Callable[..., None], *args: Any) -> tuple[Any, Connection]:
        here, there = SPAWN.Pipe()
        process = SPAWN.Process(target=function, args=(*args, there))
        process.start()
        there.close()
        started.append(process)
        return process, here

    yield begin
    for process in started:
        process.kill()
        process.join()


@pytest.fixture
def live(url: str) -> Iterator[Queue]:
    """A queue on the real boot clock, as the other processes have it."""
    engine = open_writer(url)
    yield Queue(engine)
    engine.dispose()


def count(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(select(func.count()).select_from(table)) or 0)


def test_two_workers_claim_8000_images_without_overlap(url: str, engine: Engine, live: Queue, start: Start) -> None:
    model = ledger.register(live)
    ledger.enqueue(live, "line", ledger.arrivals(8_000))
    pipes = [start(ledger.drain, url, owner, model, 32)[1] for owner in ("a", "b")]
    for pipe in pipes:
        assert pipe.recv() == "ready"
    for pipe in pipes:
        pipe.send("go")
    first, second = (pipe.recv() for pipe in pipes)
    assert first
    assert second
    assert len(first) + len(second) == len({*first, *second}) == 8_000
    assert count(engine, inspections) == 8_000


def test_a_worker_stopped_past_its_lease_cannot_finish(url: str, engine: Engine, live: Queue, start: Start) -> None:
    model = ledger.register(live)
    live.arrivals.enqueue("line", ledger.arrivals(4))
    process, pipe = start(ledger.claim_and_finish, url, model, 0.05)
    stopped = pipe.recv()
    os.kill(process.pid, signal.SIGSTOP)
    claims = []
    while len(claims) < 4:  # each expired image is claimed alone
        got = live.claims.take("other", LINE, 4, 60)
        claims += got
        live.outcomes.finish("other", model, [ledger.inspected(claim) for claim in got])
    pipe.send("finish")
    os.kill(process.pid, signal.SIGCONT)
    assert pipe.recv() == set()
    assert sorted(claim.image_id for claim in claims) == stopped
    assert {claim.attempt for claim in claims} == {2}
    assert count(engine, inspections) == 4


def test_killed_workers_lose_nothing_and_double_nothing(url: str, engine: Engine, live: Queue, start: Start) -> None:
    model = ledger.register(live)
    live.arrivals.enqueue("line", ledger.arrivals(400))
    acknowledged: set[int] = set()
    for kill in range(4):
        process, pipe = start(ledger.work_until_killed, url, model)
        for _ in range(5 + kill):
            finished = pipe.recv()
            assert not acknowledged & finished
            acknowledged |= finished
        process.kill()
        process.join()
        while pipe.poll():  # committed and sent, before the kill
            try:
                acknowledged |= pipe.recv()
            except (EOFError, OSError):
                break
        live.claims.release_watches(LINE)
    with engine.connect() as connection:
        done = set(connection.scalars(select(inspections.c.image_id)))
    assert acknowledged <= done
    while claims := live.claims.take("last", LINE, 64, 60):
        live.outcomes.finish("last", model, [ledger.inspected(claim) for claim in claims])
    assert live.open_count(LINE) == Counts()
    assert count(engine, images) == count(engine, inspections) == 400


def test_claims_are_served_while_20000_rows_are_enqueued(
    url: str, live: Queue, start: Start, record_property: Callable[[str, object], None]
) -> None:
    model = ledger.register(live)
    live.arrivals.enqueue("line", ledger.arrivals(500))
    _, pipe = start(ledger.enqueue_many, url, 20_000)
    assert pipe.recv() == "ready"
    pipe.send("go")
    waits, judged = [], 0
    while not pipe.poll() or judged == 0:
        begun = time.perf_counter()
        claims = live.claims.take("w", LINE, 16, 60)
        waits.append(time.perf_counter() - begun)
        judged += len(live.outcomes.finish("w", model, [ledger.inspected(claim) for claim in claims]))
    assert pipe.recv() == "done"  # neither side was ever refused the lock
    left = live.open_count(LINE)
    assert judged + left.queued == 20_500
    p50, p99 = (sorted(waits)[len(waits) * percent // 100] * 1e3 for percent in (50, 99))
    figures = f"{len(waits)} claims, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
    record_property("claim wait while 20,000 rows are enqueued", figures)
    print(figures)  # noqa: T201 a figure for docs/performance.md; it decides nothing
