"""Compares disk, ledger, overlays and sidecars, and yields every gap between them.

It only reads, whether the daemon runs or not, in pages, so that a million files and rows take little memory. Work that
the daemon is about to do is not a gap: a file or a row younger than `grace` is passed over, and before a gap is
reported, its row is read once more after the look at the disk.
"""

import os
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from inspectd.config import Config, Watch
from inspectd.domain import Stat
from inspectd.errors import InspectdError
from inspectd.ingest.left_out import LeftOut
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Walk, identity, look
from inspectd.ledger.read import reconcile
from inspectd.ledger.read.filters import Span
from inspectd.ledger.read.reconcile import ArtifactOwner, Record
from inspectd.ledger.records import Arrival
from inspectd.ledger.schema import FINISHED_STATES, State
from inspectd.ledger.transactions import chunks
from inspectd.ledger.write.queue import Queue
from inspectd.paths import from_text, to_text
from inspectd.service.reconcile.gaps import Gap, Kind, grace, lies
from inspectd.service.reconcile.image_check import ImageCheck
from inspectd.service.reconcile.sequence import NumberSequences
from inspectd.worker.artifacts import Artifact

_DAY = re.compile(r"\d{4}-\d\d-\d\d")


class Comparison:
    """One comparison.

    Args:
        span: When images arrived: rows by `seen_at`, files by their last change, overlays by the day in their path.
        watch: Only this watch; None: every watch of the configuration and of the ledger.
        numbered: The pattern of numbered names whose gaps are wanted; None: no numbers are checked.
        now: The present time.

    Raises:
        InspectdError: no such watch.
    """

    def __init__(
        self,
        config: Config,
        engine: Engine,
        span: Span,
        now: datetime,
        watch: str | None = None,
        numbered: re.Pattern[str] | None = None,
    ) -> None:
        self._config = config
        self._engine = engine
        self._queue = Queue(engine)
        self._span = span
        self._now = now
        self._only = watch
        known = {each.name for each in config.watch} | set(reconcile.watches(engine))
        if watch is not None and watch not in known:
            raise InspectdError(f"there is no watch {watch}; there are {', '.join(sorted(known))}.")
        self._names = [watch] if watch else sorted(known)
        self._watches = {each.name: each for each in config.watch if each.name in self._names}
        self._there = {name: each for name, each in self._watches.items() if identity(each.path)}
        self._output_there = identity(config.output) is not None
        self._image_check = ImageCheck(config, self._there, output_there=self._output_there, now=now)
        self._numbers = NumberSequences(numbered) if numbered else None
        self.left_out: dict[str, LeftOut] = {}  # by watch, as far as `gaps` has come

    def gaps(self) -> Iterator[Gap]:
        """Yields every gap once, as it is found."""
        for name, watch in self._watches.items():
            if name not in self._there:
                yield Gap(Kind.UNREADABLE, name, "", f"the folder {watch.path} is not there")
        if not self._output_there:
            yield Gap(Kind.UNREADABLE, "", "", f"the folder {self._config.output} is not there")
        for watch in self._there.values():
            yield from self._files(watch)
        for page in reconcile.records(self._engine, self._span, self._only):
            for record in page:
                self._count(record.watch, record.path)
            yield from self._images(page)
        for name in self._names if self._output_there else ():
            yield from self._artifacts(name)
        for missing in self._numbers.missing() if self._numbers else ():
            detail = f"{missing.numbers} missing, between {missing.before} and {missing.behind}"
            yield Gap(Kind.NUMBER, missing.watch, missing.behind, detail)

    def _count(self, watch: str, path: str) -> None:
        if self._numbers:
            self._numbers.add(watch, path)

    def _files(self, watch: Watch) -> Iterator[Gap]:
        """Files of a watch that have no row in the ledger, or none since they changed."""
        naming = Naming(watch)
        troubles: list[tuple[str, OSError]] = []
        walk = Walk(watch, naming, lambda folder, error: troubles.append((folder, error)))
        for chunk in chunks(each for each in walk if each is not None):
            settled = []
            for path, stat in chunk:
                arrived = datetime.fromtimestamp(stat.ctime_ns / 1e9, UTC)
                if self._span.holds(arrived):
                    self._count(watch.name, to_text(path))
                    if self._now - arrived > grace(watch):
                        settled.append((to_text(path), stat))
            yield from self._without_row(watch, naming, settled)
        self.left_out[watch.name] = walk.left_out
        for folder, error in troubles:
            yield Gap(
                Kind.UNREADABLE, watch.name, to_text(folder or "."), f"the folder cannot be read: {error.strerror}"
            )

    def _without_row(self, watch: Watch, naming: Naming, seen: list[tuple[str, Stat]]) -> Iterator[Gap]:
        answered = self._queue.arrivals.known(watch.name, seen)
        open_ones = reconcile.without_outcome(
            self._engine, watch.name, [path for path, _ in seen if path not in answered]
        )
        rest = {path: stat for path, stat in seen if path not in answered and path not in open_ones}
        unknown = self._queue.arrivals.without_row(watch.name, rest)
        for path, stat in rest.items():
            if _stat(watch, path) != stat:
                continue  # judged and put away, or written to, since the walk saw it
            detail = (
                "the ledger has no row for this file"
                if path in unknown
                else "written or touched since the ledger last saw it"
            )
            part, fields = naming.fields(from_text(path))
            yield Gap(Kind.FILE, watch.name, path, detail, arrival=Arrival(path, stat, part, fields))

    def _images(self, page: Sequence[Record]) -> Iterator[Gap]:
        """The gaps of a page of images whose rows are still the same after the look at the disk."""
        bundles = reconcile.bundles(self._engine) if self._config.sidecar else []
        suspects = self._suspects(page, bundles)
        while suspects:
            now = reconcile.read_again(self._engine, list(suspects))
            same = [record for record in now if record == suspects[record.image_id][0]]
            gaps = [gap for record in same for gap in suspects[record.image_id][1]]
            old = reconcile.superseded(
                self._engine, [gap.record for gap in gaps if gap.record and gap.kind is Kind.ROW]
            )
            yield from (gap for gap in gaps if not (gap.kind is Kind.ROW and gap.record and gap.record.image_id in old))
            suspects = self._suspects([record for record in now if record != suspects[record.image_id][0]], bundles)

    def _suspects(self, page: Sequence[Record], bundles: Sequence[str]) -> dict[int, tuple[Record, list[Gap]]]:
        looked = ((record, list(self._image_check.gaps(record, bundles))) for record in page)
        return {record.image_id: (record, gaps) for record, gaps in looked if gaps}

    def _artifacts(self, watch: str) -> Iterator[Gap]:
        """Overlays and sidecars of one watch that belong to no outcome."""
        try:
            folder = self._config.output / watch
            days = sorted(entry.name for entry in os.scandir(folder) if _DAY.fullmatch(entry.name) and entry.is_dir())
        except FileNotFoundError:
            return
        except OSError as error:
            yield Gap(Kind.UNREADABLE, watch, watch, f"the folder cannot be read: {error.strerror}")
            return
        for day in filter(self._span.holds_day, days):
            try:
                with os.scandir(folder / day) as entries:
                    named = ((f"{watch}/{day}/{entry.name}", Artifact.of(entry.name)) for entry in entries)
                    for chunk in chunks((path, artifact) for path, artifact in named if artifact):
                        yield from self._strays(watch, chunk)
            except OSError as error:
                yield Gap(Kind.UNREADABLE, watch, f"{watch}/{day}", f"the folder cannot be read: {error.strerror}")

    def _strays(self, watch: str, named: Sequence[tuple[str, Artifact]]) -> Iterator[Gap]:
        rows = reconcile.artifact_owners(self._engine, {artifact.image_id for _, artifact in named})
        untold = [path for path, artifact in named if not _is_told(path, artifact, rows.get(artifact.image_id))]
        going = reconcile.being_removed(self._engine, [*map(to_text, untold)])
        for path in untold:
            if to_text(path) not in going and lies(self._config.output / path):
                yield Gap(Kind.STRAY, watch, to_text(path), "no outcome in the ledger names it")


def _stat(watch: Watch, path: str) -> Stat | None:
    try:
        return look(watch.path / from_text(path), follow_links=watch.follow_links)
    except OSError:
        return None  # its folder was closed a moment ago: the next walk reports it


def _is_told(path: str, artifact: Artifact, row: ArtifactOwner | None) -> bool:
    if row is None:
        return False
    if row.state not in FINISHED_STATES:
        return True  # written before its outcome is committed
    if artifact.suffix == ".json":
        return row.state == State.FAILED or any(bundle.startswith(artifact.model) for bundle in row.bundles)
    return path in row.overlays
