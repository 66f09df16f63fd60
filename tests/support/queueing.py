"""What the ledger's tests share: rows to begin with, and the bodies of real processes that work on one database."""

import os
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection

from inspectd.domain import Region, Stat, Verdict
from inspectd.ledger.database import open_writer
from inspectd.ledger.records import Arrival, Claim, Heat, Inspected, Read
from inspectd.ledger.write.queue import Queue

LEASE = 60.0


class HandClock:
    """A boot clock that only the test moves, and that can be rebooted."""

    def __init__(self) -> None:
        self.boot = "first boot"
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds


def stat(number: int) -> Stat:
    return Stat(1000 + number, 1_700_000_000_000_000_000 + number, 1_700_000_001_000_000_000 + number)


def arrivals(number: int, start: int = 0) -> list[Arrival]:
    """Files whose stat tells them apart."""
    return [Arrival(f"{i:06d}.png", stat(i), part=str(i)) for i in range(start, start + number)]


def enqueue(queue: Queue, watch: str, files: Sequence[Arrival], rest: float = 0.0) -> None:
    """Enqueue as ingest does: chunks of at most 500 with a rest between the transactions."""
    for start in range(0, len(files), 500):
        queue.arrivals.enqueue(watch, files[start : start + 500])
        time.sleep(rest)


def sha256(number: int) -> str:
    return f"{number:064x}"


def inspected(claim: Claim, verdict: Verdict = Verdict.OK, score: float = 0.25, sha: str | None = None) -> Inspected:
    """A verdict with every field filled."""
    return Inspected(
        claim=claim,
        sha256=sha or sha256(claim.image_id),
        verdict=verdict,
        label="ok" if verdict == Verdict.OK else "crack",
        logits=(1.5, -2.5),
        score=score,
        thresholds={"defect": 0.0},
        precision="float32",
        device="cpu",
        overlay=f"{claim.watch}/2026-11-23/{claim.image_id}.jpg",
        regions=(Region(1, 2, 3, 4, 0.5),),
        heat=Heat(bytes(range(64)), 8, 8, 1.25),
        timings={"decode": 1.5, "infer": 20.0},
    )


def register(queue: Queue, name: str = "demo", bundle: str = "ab" * 32) -> int:
    return queue.register_model(bundle, name, 1, ["ok", "crack"], {"auc": 1.0})


def read(claim: Claim, sha: str, at: Stat | None = None) -> Read:
    return Read(claim, sha, at or claim.stat)


def drain(url: str, owner: str, model: int, batch: int, report: Connection) -> None:
    """A worker process: claim and finish until nothing is left, then send the ids that it finished.

    It holds its first batch before it says that it is ready: SQLite hands out the lock unfairly, and a worker may
    otherwise find everything done when its turn comes.
    """
    queue = Queue(open_writer(url))
    claims = queue.claims.take(owner, ["line"], batch, LEASE)
    report.send("ready")
    report.recv()
    done: list[int] = []
    while claims:
        done += sorted(queue.outcomes.finish(owner, model, [inspected(claim) for claim in claims]))
        claims = queue.claims.take(owner, ["line"], batch, LEASE)
    report.send(done)


def enqueue_many(url: str, number: int, report: Connection) -> None:
    """An ingest process: many files at once, in chunks, with rests of 5 ms."""
    queue = Queue(open_writer(url))
    report.send("ready")
    report.recv()
    enqueue(queue, "line", arrivals(number, start=1_000_000), rest=0.005)
    report.send("done")


def claim_and_finish(url: str, model: int, lease: float, report: Connection) -> None:
    """A worker process that claims one batch, and finishes it only when it is told to."""
    queue = Queue(open_writer(url))
    owner = f"worker {os.getpid()}"
    claims = queue.claims.take(owner, ["line"], 4, lease)
    report.send([claim.image_id for claim in claims])
    report.recv()
    report.send(queue.outcomes.finish(owner, model, [inspected(claim) for claim in claims]))


def work_until_killed(url: str, model: int, report: Connection) -> None:
    """A worker process that reports each finished batch after its commit, until it is killed."""
    queue = Queue(open_writer(url))
    owner = f"worker {os.getpid()}"
    while claims := queue.claims.take(owner, ["line"], 3, LEASE):
        report.send(queue.outcomes.finish(owner, model, [inspected(claim) for claim in claims]))
