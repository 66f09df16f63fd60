"""What surrounds the network, in this process and without the daemon: the way of a batch, and the ledger alone.

The very code of the worker is called: claim, read, hash, decode, resize, judge (by the null network), regions, overlay,
encode, durable files, commit.
"""

import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2

from inspectd.bench.report import CLAIM, ENQUEUE, HOST, HOST_CORE
from inspectd.bench.rounds import Measurement
from inspectd.bench.site import WATCH, Stock, lay_out_bench
from inspectd.domain import Region, Stat, Verdict
from inspectd.errors import InspectdError
from inspectd.ledger.database import open_writer
from inspectd.ledger.records import Arrival, Claim, Heat, Inspected
from inspectd.ledger.transactions import CHUNK, chunks
from inspectd.ledger.write.queue import Queue
from inspectd.model.loading import load_inspector
from inspectd.model.null import write_null_bundle
from inspectd.model.spec import Spec
from inspectd.worker.batch import Batch, Lane
from inspectd.worker.models import Opened, register
from inspectd.worker.process import LEASE
from inspectd.worker.slots import Slots

OWNER = "bench"


class HostPath:
    """A site with the null network behind the preparation, and in the tiles, of the model that is measured."""

    def __init__(self, root: Path, spec: Spec, stock: Stock, batch: int) -> None:
        cv2.setNumThreads(1)  # as in the worker
        bundle = write_null_bundle(root.with_name("null"), preparation=spec.preparation, tiles=spec.tiles)
        self._site, self._config = lay_out_bench(root, bundle.path, batch=batch)
        self._stock = stock
        self._inspector = load_inspector(bundle, "cpu", "float32")
        self._queue = Queue(open_writer(self._config.database))
        self._model = register(self._queue, bundle)

    def measure(self, threads: int) -> Mapping[Measurement, float]:
        """Take every file of the stock from the queue to its committed verdict.

        Raises:
            InspectdError: one of them got none.
        """
        incoming, batch = self._site.incoming, self._config.worker.batch
        names = self._stock.move(incoming)
        arrivals = [Arrival(name, Stat.of((incoming / name).stat())) for name in names]
        for chunk in chunks(arrivals):
            self._queue.arrivals.enqueue(WATCH, chunk)
        judged = 0
        free = threading.Event()
        with ThreadPoolExecutor(threads) as pool, Slots(free.set) as slots:
            lane = self._lane(pool)
            wall, processor = time.perf_counter(), time.process_time()
            while True:
                claims = [] if slots.are_full else self._queue.claims.take(OWNER, [WATCH], batch, LEASE)
                if claims:
                    slots.begin(partial(_finish, Batch(lane, claims)))
                elif slots.are_empty:
                    break
                else:
                    free.wait()
                    free.clear()
                judged += slots.collect()
            wall, processor = time.perf_counter() - wall, time.process_time() - processor
        if judged < len(names):
            raise InspectdError(f"only {judged} of {len(names)} images were judged: give --images that are all whole.")
        return {
            Measurement(HOST, batch=batch, threads=threads): judged / wall,
            Measurement(HOST_CORE, batch=batch, threads=threads): judged / processor,
        }

    def _lane(self, pool: ThreadPoolExecutor) -> Lane:
        return Lane(
            *(self._config, Opened(self._inspector, 0.0), self._queue),
            model_id=self._model,
            watches=[WATCH],
            owner=OWNER,
            pool=pool,
            network=threading.Lock(),
            beat=lambda: None,
        )


def _finish(batch: Batch) -> int:
    """Takes a batch to its outcomes as a worker does; returns how many images have a verdict."""
    outcomes = batch.judge().commit().outcomes
    return sum(isinstance(outcome, Inspected) for outcome in outcomes)


class LedgerAlone:
    """A ledger of images that have no files."""

    def __init__(self, root: Path, batch: int, rows: int) -> None:
        bundle = write_null_bundle(root.with_name("null-ledger"))
        config = lay_out_bench(root, bundle.path)[1]
        self._queue = Queue(open_writer(config.database))
        self._model = register(self._queue, bundle)
        self._batch = batch
        self._rows = rows
        self._round = 0

    def measure(self) -> Mapping[Measurement, float]:
        """Enqueue so many rows, then claim and finish all of them."""
        self._round += 1
        stat = Stat(200_000, 1_700_000_000_000_000_000, 1_700_000_000_000_000_000)
        arrivals = [Arrival(f"{self._round:04d}/{number:06d}.png", stat) for number in range(self._rows)]
        began = time.perf_counter()
        for chunk in chunks(arrivals, CHUNK):
            self._queue.arrivals.enqueue(WATCH, chunk)
        enqueued = time.perf_counter()
        while claims := self._queue.claims.take(OWNER, [WATCH], self._batch, LEASE):
            self._queue.outcomes.finish(OWNER, self._model, _verdicts(claims))
        finished = time.perf_counter()
        return {
            Measurement(ENQUEUE): self._rows / (enqueued - began),
            Measurement(CLAIM, batch=self._batch): self._rows / (finished - enqueued),
        }


def _verdicts(claims: Sequence[Claim]) -> list[Inspected]:
    """What a worker would record of a defect with one hot region."""
    record = Inspected(
        claim=claims[0],
        sha256="0" * 64,
        verdict=Verdict.DEFECT,
        label="defect",
        logits=(-3.25, 4.5),
        score=0.989,
        thresholds={"defect": 0.0},
        precision="float32",
        device="cpu",
        overlay="bench/2026-01-01/000001-1-01234567.jpg",
        regions=(Region(100, 120, 60, 40, 0.9),),
        heat=Heat(bytes(range(196)), 14, 14, 1.0),
        timings={"decode": 1.8, "prepare": 0.8, "infer": 31.1, "overlay": 1.2},
    )
    return [replace(record, claim=claim, sha256=f"{claim.image_id:064x}") for claim in claims]
