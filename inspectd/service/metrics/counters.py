"""The metrics for Prometheus: their names, and how they follow from the ledger and the processes.

The daemon's loop hands in its figures. A scrape runs in a thread of its own and reads only memory, so that neither
waits for the other. A scrape only reads the free disk space itself: a network folder that hangs may block a scrape,
but nothing else. docs/metrics.md has a row for every metric.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from inspectd import __version__
from inspectd.domain import Verdict
from inspectd.ingest.gate import Counters
from inspectd.ledger import trail
from inspectd.ledger.read.feed import Backlog, News
from inspectd.ledger.read.status import RESTARTS
from inspectd.ledger.schema import OPEN_STATES, State
from inspectd.service.metrics.disk_space import disk_space
from inspectd.worker.channel import Ready

OUTCOMES = (*Verdict, State.FAILED)
WAITING = (*OPEN_STATES, State.CLAIMED)
STAGE_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
LATENCY_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
BATCH_IMAGES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each; the start's time is in the log


@dataclass(frozen=True)
class ServiceState:
    """The state of the service at one moment.

    Attributes:
        watches: The names in the configuration.
        missing: The watches whose folder is missing.
        ready: The `Ready` of the worker in service; None while there is none.
        intake: The counts of ingest, by watch; they begin at 0 after a reload.
    """

    at: datetime
    watches: Sequence[str]
    missing: Sequence[str]
    ready: Ready | None
    intake: Mapping[str, Counters]


class Metrics:
    """All metrics. The daemon's loop calls `take`; the endpoint reads `registry`."""

    def __init__(self, disks: Mapping[str, Path], standing: ServiceState) -> None:
        """`disks`: the folders whose disks are measured, by what is kept there."""
        self.registry = registry = CollectorRegistry()
        self._disks = dict(disks)
        self._standing = standing
        self._backlog = Backlog({}, {})
        registry.register(self)  # by its method `collect`
        self._images = Counter(
            "inspectd_images", "Images that got their outcome.", ["watch", "outcome"], registry=registry
        )
        self._failures = Counter(
            "inspectd_failures", "Images that failed, by the reason's code.", ["watch", "reason"], registry=registry
        )
        self._stages = Histogram(
            "inspectd_stage_seconds",
            "Time of one image in one stage of a worker.",
            ["stage"],
            buckets=STAGE_SECONDS,
            registry=registry,
        )
        self._latency = Histogram(
            "inspectd_latency_seconds",
            "Time from the moment when an image was whole to its verdict.",
            ["watch"],
            buckets=LATENCY_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "inspectd_batch_images", "Images judged in one batch.", buckets=BATCH_IMAGES, registry=registry
        )
        self._expired = Counter(
            "inspectd_expired_leases",
            "Leases that expired because their worker was stopped or stuck.",
            registry=registry,
        )
        self._restarts = Counter("inspectd_worker_restarts", "Workers that ended unasked.", ["kind"], registry=registry)
        self._events = Counter("inspectd_events", "Rows of the audit trail.", ["kind"], registry=registry)
        for kind in RESTARTS.values():
            self._restarts.labels(kind)
        self._name(standing.watches)

    def take(self, news: News, standing: ServiceState) -> None:
        """Adds new counts, and takes over the present state."""
        self._name(standing.watches)
        for each in news.verdicts:
            self._images.labels(each.watch, each.verdict).inc()
            self._latency.labels(each.watch).observe(each.latency)
            for stage, seconds in each.stages.items():
                self._stages.labels(stage).observe(seconds)
        for size in news.batches:
            self._batches.observe(size)
        for watch, code in news.failed:
            self._images.labels(watch, State.FAILED).inc()
            self._failures.labels(watch, code).inc()
        for kind, detail in news.events:
            self._events.labels(kind).inc()
            if kind in RESTARTS:
                self._restarts.labels(RESTARTS[kind]).inc()
            elif kind == trail.LEASE_EXPIRED:
                self._expired.inc(trail.expired_count(detail))
        self._backlog, self._standing = news.backlog, standing

    def collect(self) -> Iterator[Metric]:
        """Yields the gauges for a scrape."""
        backlog, standing = self._backlog, self._standing
        yield from _waiting(backlog, standing)
        yield _gauge(
            "inspectd_watch_missing",
            "1 while the watch's folder is missing.",
            ["watch"],
            {(watch,): watch in standing.missing for watch in standing.watches},
        )
        yield from _ingested(standing.intake)
        ready = standing.ready
        yield _gauge("inspectd_ready", "1 while a worker is in service.", [], {(): ready is not None})
        yield _gauge(
            "inspectd_model_info",
            "A model in service.",
            ["model", "device", "precision"],
            {(model, ready.device, ready.precision): 1 for model in ready.models} if ready else {},
        )
        yield _gauge("inspectd_build_info", "The version that runs.", ["version"], {(__version__,): 1})
        yield _gauge(
            "inspectd_looked_timestamp_seconds",
            "When these numbers were last read from the ledger.",
            [],
            {(): standing.at.timestamp()},
        )
        yield from _space(self._disks)

    def _name(self, watches: Sequence[str]) -> None:
        """Begins the series of a watch at 0, because Prometheus sees no rise in a series that begins at 1."""
        for watch in watches:
            self._latency.labels(watch)
            for outcome in OUTCOMES:
                self._images.labels(watch, outcome)


def _waiting(backlog: Backlog, standing: ServiceState) -> Iterator[Metric]:
    """Images without an outcome. A watch that is no longer configured appears while images wait in it."""
    watches = dict.fromkeys([*standing.watches, *(watch for watch, _ in backlog.counts)])
    yield _gauge(
        "inspectd_queue_images",
        "Images without an outcome.",
        ["watch", "state"],
        {(watch, state): backlog.counts.get((watch, state), 0) for watch in watches for state in WAITING},
    )
    now = datetime.now(UTC)
    ages = {watch: (now - backlog.oldest[watch]).total_seconds() for watch in watches if watch in backlog.oldest}
    yield _gauge(
        "inspectd_oldest_queued_age_seconds",
        "Age of the oldest queued image; 0 if there is none.",
        ["watch"],
        {(watch,): max(0.0, ages.get(watch, 0.0)) for watch in watches},
    )


def _ingested(intake: Mapping[str, Counters]) -> Iterator[Metric]:
    """How reliably events arrive."""
    missed = CounterMetricFamily(
        "inspectd_missed_by_events",
        "New files that a scan found although an event should have named them.",
        labels=["watch"],
    )
    rescans = CounterMetricFamily("inspectd_rescans", "Extra scans because events were lost.", labels=["watch"])
    for watch, counters in intake.items():
        missed.add_metric([watch], counters.missed)
        rescans.add_metric([watch], counters.rescans)
    yield from (missed, rescans)


def _space(disks: Mapping[str, Path]) -> Iterator[Metric]:
    found = disk_space(disks)
    free = {(space.place,): space.bytes for space in found}
    yield _gauge("inspectd_disk_free_bytes", "Free space for inspectd.", ["place"], free)
    inodes = {(space.place,): space.inodes for space in found if space.inodes is not None}
    yield _gauge("inspectd_disk_free_inodes", "Files that inspectd can still create.", ["place"], inodes)


def _gauge(name: str, text: str, labels: Sequence[str], values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
