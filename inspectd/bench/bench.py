"""The benchmark: its stages one after the other in one temporary folder, each within its share of the time."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from inspectd.bench import report as lines
from inspectd.bench.daemon import Idle, idle_daemon, run_once
from inspectd.bench.host import HostPath, LedgerAlone
from inspectd.bench.machine import cores, describe
from inspectd.bench.proposal import fastest, propose, threads
from inspectd.bench.report import BenchReport
from inspectd.bench.rounds import Budget, Clock, Measure, Measurement, Numbers, interleave, middle
from inspectd.bench.site import Stock, article_bundle, camera_album, lay_out_bench, pixels_of
from inspectd.config import Config, load
from inspectd.domain import Precision
from inspectd.model.bundle import Bundle, load_bundle
from inspectd.model.golden import read_golden
from inspectd.rehearsal.album import album_of
from inspectd.rehearsal.site import RehearsalSite

if TYPE_CHECKING:
    from inspectd.bench.network import Network

NETWORK, HOST, LEDGER, END_TO_END, LATENCY = "network", "host path", "ledger", "end to end", "latency"
SHARES = {NETWORK: 0.40, HOST: 0.08, LEDGER: 0.04, END_TO_END: 0.36, LATENCY: 0.12}  # of the time
SIZE = 224  # pixels, the article's
BATCH = 16  # where there is no network to tell a better one
PICTURES = 64  # of --images, the first by name
LEAST_BATCHES, MOST_FILES = 4, 2048  # of the queue that the daemon works off
RUN_SHARE = 16  # one such run is to last this part of the stage's time, its start-up apart
ROWS_A_SECOND = 500  # rows of the ledger's measurement for each second of its share

Say = Callable[[str], None]


@dataclass(frozen=True)
class BenchOptions:
    """What is to be measured, and for how long.

    Attributes:
        model: A bundle or a model; None: the article's network with random weights, for images of size × size.
        images: A folder of images; None: the demo camera's.
    """

    model: Path | None = None
    images: Path | None = None
    size: int = SIZE
    minutes: float = 3.0


def model_of(config: Path) -> Path:
    """The model of a configuration that is to be tuned: that of its first watch."""
    return load(config).watch[0].model


def bench(options: BenchOptions, say: Say, clock: Clock = time.monotonic) -> BenchReport:
    """Measure this machine. Everything is made in a temporary folder (of $TMPDIR), which is removed.

    Raises:
        InspectdError: the model or the images cannot be used, or the daemon does not serve.
    """
    with tempfile.TemporaryDirectory(prefix="inspectd-bench-") as folder:
        return _Benchmark(Path(folder), options, say, clock).go()


class _Benchmark:
    """One benchmark."""

    def __init__(self, root: Path, options: BenchOptions, say: Say, clock: Clock) -> None:
        self._clock = clock
        self._began = clock()
        self._load = os.getloadavg()
        self._root = root
        self._options = options
        self._say = say
        self._budget = Budget(options.minutes * 60, SHARES, clock)
        self._album = album_of(options.images, PICTURES) if options.images else camera_album()
        self._numbers: Numbers = {}
        self._left_out: list[str] = []
        self._network: Network | None = None
        self._bundle = self._open()

    def go(self) -> BenchReport:
        """All stages, and the report."""
        self._stage(NETWORK, self._alone)
        precision, batch = fastest(self._numbers)
        self._precision: Precision = precision or "float32"
        self._batch = batch or BATCH
        self._stage(HOST, self._host)
        self._stage(LEDGER, self._ledger)
        self._stage(END_TO_END, self._end_to_end)
        self._stage(LATENCY, self._latency)
        proven = self._options.model is None or read_golden(self._bundle) is not None
        return BenchReport(
            machine=describe(self._root, self._network.device if self._network else "cpu", self._load),
            model=self._model(),
            images=self._images(),
            numbers=self._numbers,
            proposal=propose(self._numbers, proven=proven),
            left_out=tuple(self._left_out),
            seconds=self._clock() - self._began,
        )

    def _open(self) -> Bundle:
        if self._options.model is not None:
            return load_bundle(self._options.model)
        self._say("Making the article's network with random weights …")
        return article_bundle(self._root, self._options.size, self._album)

    def _stage(self, name: str, work: Callable[[], None]) -> None:
        if not self._budget.has_time(name):
            self._left_out.append(f"{name}: the time was over before it; give more --minutes.")
            return
        self._say(f"Measuring: {name} …")
        work()

    def _rounds(self, stage: str, measures: Sequence[Measure]) -> None:
        self._numbers |= interleave(measures, self._budget.until(stage), self._clock)

    def _alone(self) -> None:
        if self._bundle.spec.network == "null":
            self._left_out.append("network: the null network has none.")
            return
        from inspectd.bench.network import Network

        seconds = self._budget.until(NETWORK) - self._clock()
        self._network = Network(self._bundle, pixels_of(self._album, len(self._album)), seconds)
        self._left_out += self._network.left_out
        self._rounds(NETWORK, self._network.measures)

    def _files(self) -> int:
        """How many images the daemon shall work off: whole batches, for a run of some seconds."""
        best: dict[str, float] = {}
        for line, rounds in self._numbers.items():
            if line.name in (lines.GRADCAM, lines.HOST):
                best[line.name] = max(best.get(line.name, 0.0), middle(rounds))
        seconds = self._budget.share(END_TO_END) / RUN_SHARE
        batches = int(min(best.values(), default=0.0) * seconds / self._batch) + 1
        return min(max(batches, LEAST_BATCHES), max(LEAST_BATCHES, MOST_FILES // self._batch)) * self._batch

    def _host(self) -> None:
        stock = Stock(self._root / "few", self._album, LEAST_BATCHES * self._batch)
        path = HostPath(self._root / "host", self._bundle.spec, stock, self._batch)
        path.measure(cores())  # code and folders are warm from now on
        self._rounds(HOST, [partial(path.measure, count) for count in thread_counts(cores())])

    def _ledger(self) -> None:
        rows = max(500, int(ROWS_A_SECOND * self._budget.share(LEDGER)))
        self._rounds(LEDGER, [LedgerAlone(self._root / "ledger", BATCH, rows).measure])

    def _end_to_end(self) -> None:
        stock = Stock(self._root / "many", self._album, self._files())
        precisions: Sequence[Precision] = self._network.precisions if self._network else (self._precision,)
        measures: list[Measure] = [
            partial(self._run, precision, *self._site(f"queue-{precision}", precision), stock)
            for precision in precisions
        ]
        if self._network:
            measures.append(partial(self._network.article, lines.ARTICLE_BESIDE))
        self._rounds(END_TO_END, measures)

    def _run(
        self, precision: Precision, site: RehearsalSite, config: Config, stock: Stock
    ) -> Mapping[Measurement, float]:
        """The daemon between two looks at the bare network."""
        before = self._beside(precision)
        ready, rate = run_once(site, config, stock)
        after = self._beside(precision)
        settings = (precision, self._batch, threads(self._numbers))
        found = {Measurement(lines.END_TO_END, *settings): rate, Measurement(lines.READY, *settings): ready}
        return found | {line: (before[line] + after[line]) / 2 for line in before}

    def _beside(self, precision: Precision) -> Mapping[Measurement, float]:
        """The bare forward pass; once before it counts, because others have had the caches since."""
        if not self._network:
            return {}
        self._network.forward(lines.FORWARD_BESIDE, precision, self._batch)
        return self._network.forward(lines.FORWARD_BESIDE, precision, self._batch)

    def _latency(self) -> None:
        with idle_daemon(*self._site("idle", self._precision), self._album) as idle:
            self._rounds(LATENCY, [partial(self._single, idle)])

    def _single(self, idle: Idle) -> Mapping[Measurement, float]:
        """One image through the daemon, then through the network alone; both in milliseconds."""
        found = {Measurement(lines.LATENCY, self._precision, 1): 1000 * idle.judge()}
        if self._network:
            rates = self._network.gradcam(lines.NETWORK_BESIDE, self._precision, 1)
            found |= {line: 1000 / rate for line, rate in rates.items()}
        return found

    def _site(self, name: str, precision: Precision) -> tuple[RehearsalSite, Config]:
        worker = {"batch": self._batch, "threads": threads(self._numbers), "precision": precision}
        return lay_out_bench(self._root / name, self._bundle.path, **worker)

    def _model(self) -> dict[str, Any]:
        spec, to = self._bundle.spec, self._bundle.spec.preparation
        return {
            "title": self._bundle.title,
            "random_weights": self._options.model is None,
            "size": [to.width, to.height],
            "layer": spec.layer,
            "evaluated_in": spec.evaluated_in,
        }

    def _images(self) -> dict[str, Any]:
        height, width = pixels_of(self._album, 1)[0].shape[:2]
        return {
            "from": str(self._options.images) if self._options.images else "the demo's camera",
            "distinct": len(self._album),
            "first": {"size": [width, height], "bytes": len(self._album.picture(0)[1])},
        }


def thread_counts(most: int) -> list[int]:
    """1, 2, 4 … and one for each core."""
    counts = [1]
    while counts[-1] * 2 < most:
        counts.append(counts[-1] * 2)
    return sorted({*counts, most})
