"""Closes gaps as far as the ledger and the disk allow. It never removes, judges or decides anything.

It enqueues a file without a row like any arrival, writes a missing sidecar from the ledger, and puts a missing overlay
on the list from which the daemon draws. Each step may be repeated, also while the daemon runs.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from inspectd.config import Config
from inspectd.durable import write_all
from inspectd.errors import BundleError
from inspectd.ledger.read.reconcile import Record
from inspectd.ledger.transactions import REST, chunks
from inspectd.ledger.write.queue import Queue
from inspectd.model.bundle import Bundle, load_bundle
from inspectd.paths import from_text, to_text
from inspectd.service.reconcile.gaps import Gap, Kind
from inspectd.worker.artifacts import artifact_path, sidecar_json


@dataclass(frozen=True)
class Repaired:
    """The result for a gap: `problem` says why it could not be closed; None if it was, or will be."""

    gap: Gap
    done: str
    problem: str | None = None


_BY_HAND = {
    Kind.UNREADABLE: "make the folder readable, and compare again",
    Kind.ROW: "the file cannot be brought back; its row stays",
    Kind.CHANGED: "the file that lies there now was not judged; move it into the watch to have it judged",
    Kind.WAITING: "the daemon works on it; inspectd status and the log say what delays it",
    Kind.STRAY: "a repair removes nothing; look at the file, and remove it by hand",
    Kind.NUMBER: "the file never arrived; check the camera",
}


class _Cannot(Exception):
    """Says why a gap cannot be closed."""


class Repairs:
    """The repair of one site.

    Args:
        queue: The ledger, open for writing.
        bundles: The identities of the models that were ever in service.
    """

    def __init__(self, config: Config, queue: Queue, bundles: Sequence[str]) -> None:
        self._config = config
        self._watches = {watch.name: watch for watch in config.watch}
        self._queue = queue
        self._known = bundles
        self._bundles: dict[Path, Bundle] = {}

    def repair(self, gaps: Iterable[Gap]) -> Iterator[Repaired]:
        """Closes each gap or says why not, and records the sum in the audit trail."""
        found = repaired = 0
        for (kind, watch), run in groupby(gaps, key=lambda gap: (gap.kind, gap.watch)):
            for chunk in chunks(run):
                for each in self._together(kind, watch, chunk):
                    found += 1
                    repaired += each.problem is None
                    yield each
        if found:
            self._queue.event("reconcile", f"{found} gaps between disk and ledger, {repaired} of them repaired")

    def _together(self, kind: Kind, watch: str, gaps: Sequence[Gap]) -> list[Repaired]:
        """Groups gaps of one kind in one watch, at most 500 together."""
        if kind is Kind.FILE:
            self._queue.arrivals.enqueue(watch, [gap.arrival for gap in gaps if gap.arrival])
            time.sleep(REST)
            return [Repaired(gap, "queued") for gap in gaps]
        if kind is Kind.SIDECAR:
            return [_tried(gap, self._write_sidecar) for gap in gaps]
        if kind is Kind.OVERLAY:
            tried = [_tried(gap, self._may_be_drawn) for gap in gaps]
            drawable = [each.gap.record for each in tried if each.problem is None]
            self._queue.redraws.add(record.in_force.inspection_id for record in drawable if record and record.in_force)
            return tried
        return [Repaired(gap, "", _BY_HAND[kind]) for gap in gaps]

    def _may_be_drawn(self, record: Record) -> str:
        """Checks, without reading the source, whether the daemon can draw an overlay again.

        Raises:
            _Cannot: it cannot.
        """
        bundle = self._bundle(record.watch)
        if record.in_force is None or bundle.identity != record.in_force.bundle:
            raise _Cannot(f"another model judged it than {bundle.title}, the watch's present model")
        watch = self._watches[record.watch]
        source = Path(from_text(record.moved_to)) if record.moved_to else watch.path / from_text(record.path)
        now = source.stat(follow_symlinks=watch.follow_links)
        if (now.st_size, now.st_mtime_ns) != (record.stat.size, record.stat.mtime_ns):
            raise _Cannot(f"{to_text(str(source))} was written or touched since it was judged")
        return "to be drawn again by the daemon"

    def _write_sidecar(self, record: Record) -> str:
        """Writes the sidecar that a worker would have written; a failure's has the watch's present model in its name.

        Raises:
            _Cannot: no model for the name was ever in service here.
            OSError: the disk refuses.
        """
        bundle = record.in_force.bundle if record.in_force else self._bundle(record.watch).identity
        if bundle not in self._known:
            raise _Cannot(f"the model {bundle[:8]} of the watch was never in service: start the daemon first")
        name = artifact_path(record, bundle[:8], ".json")
        output = self._config.output
        content = sidecar_json(record, record.outcome, record.reason, record.sha256, record.in_force, output)
        write_all([(output / name, content)])
        return f"{name} written"

    def _bundle(self, name: str) -> Bundle:
        """The present model of a watch."""
        watch = self._watches.get(name)
        if watch is None:
            raise _Cannot("the configuration has no such watch")
        if watch.model not in self._bundles:
            try:
                self._bundles[watch.model] = load_bundle(watch.model)
            except BundleError as error:
                raise _Cannot(str(error)) from error
        return self._bundles[watch.model]


def _tried(gap: Gap, attempt: Callable[[Record], str]) -> Repaired:
    if gap.record is None:
        raise AssertionError(f"a gap of the kind {gap.kind} is of an image")
    try:
        return Repaired(gap, attempt(gap.record))
    except _Cannot as error:
        return Repaired(gap, "", str(error))
    except OSError as error:
        return Repaired(gap, "", f"{error.filename}: {error.strerror}")
