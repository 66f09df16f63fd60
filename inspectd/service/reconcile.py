"""Disk, ledger, overlays and sidecars held against each other: every gap between them, as it is found.

It only reads, whether the daemon runs or not, and a million files and rows pass through in pages. What the daemon is
about to do is no gap: a file or a row younger than `grace` is passed over, and whatever looks like a gap is read from
the ledger once more after the look at the disk.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import Engine

from inspectd.config import Config, Watch
from inspectd.errors import InspectdError
from inspectd.ingest.naming import Naming
from inspectd.ingest.scan import Walk, identity, look
from inspectd.ingest.settle import SECOND_LOOK
from inspectd.ledger import comparing
from inspectd.ledger.comparing import Claimed, Record, Span
from inspectd.ledger.queue import Queue
from inspectd.ledger.records import Arrival, Stat
from inspectd.ledger.schema import After, State, Verdict
from inspectd.ledger.transactions import chunks
from inspectd.paths import from_text, to_text
from inspectd.service.sequence import Sequence as Numbers
from inspectd.worker.after import places
from inspectd.worker.artifacts import Artifact, artifact_path

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_LIES = (None, After.KEPT)  # what `after` says of a source that is still where it was dropped


class Kind(StrEnum):
    """What does not agree with what."""

    UNREADABLE = "not-compared"
    FILE = "file-without-row"
    ROW = "row-without-file"
    WAITING = "no-outcome"
    OVERLAY = "verdict-without-overlay"
    SIDECAR = "outcome-without-sidecar"
    STRAY = "overlay-without-verdict"
    NUMBER = "number-missing"


@dataclass(frozen=True)
class Gap:
    """One disagreement.

    Attributes:
        path: within the watch, as the ledger writes it; of a stray overlay or sidecar, within `output`.
        detail: what is wrong, as a sentence or a part of one.
        arrival: the file, where it has no row.
        record: the image, where there is one.
    """

    kind: Kind
    watch: str
    path: str
    detail: str
    arrival: Arrival | None = None
    record: Record | None = None


def grace(watch: Watch) -> timedelta:
    """How long a file may lie in a watch before it must have a row: until the next scan, and then a second look."""
    return timedelta(seconds=watch.rescan + SECOND_LOOK * watch.settle)


class Comparison:
    """One comparison.

    Args:
        span: Of when images arrived: rows by `seen_at`, files by their last change, overlays by the day in their path.
        watch: Only this one; None: every watch of the configuration and of the ledger.
        numbered: The pattern of numbered names, whose gaps are looked for; None: they are not.
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
        known = {each.name for each in config.watch} | set(comparing.watches(engine))
        if watch is not None and watch not in known:
            raise InspectdError(f"there is no watch {watch}; there are {', '.join(sorted(known))}.")
        self._names = [watch] if watch else sorted(known)
        self._watches = {each.name: each for each in config.watch if each.name in self._names}
        self._there = {name: each for name, each in self._watches.items() if identity(each.path)}
        self._output_there = identity(config.output) is not None
        self._numbers = Numbers(numbered) if numbered else None

    def gaps(self) -> Iterator[Gap]:
        """Every gap, once, as it is found."""
        for name, watch in self._watches.items():
            if name not in self._there:
                yield Gap(Kind.UNREADABLE, name, "", f"the folder {watch.path} is not there")
        if not self._output_there:
            yield Gap(Kind.UNREADABLE, "", "", f"the folder {self._config.output} is not there")
        for watch in self._there.values():
            yield from self._files(watch)
        for page in comparing.records(self._engine, self._span, self._only):
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
        """Files of a watch that the ledger has not heard of, or not since they were changed."""
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
        for folder, error in troubles:
            yield Gap(
                Kind.UNREADABLE, watch.name, to_text(folder or "."), f"the folder cannot be read: {error.strerror}"
            )

    def _without_row(self, watch: Watch, naming: Naming, seen: list[tuple[str, Stat]]) -> Iterator[Gap]:
        answered = self._queue.known(watch.name, seen)
        open_ones = comparing.unfinished(self._engine, watch.name, [path for path, _ in seen if path not in answered])
        rest = {path: stat for path, stat in seen if path not in answered and path not in open_ones}
        heard = comparing.heard_of(self._engine, watch.name, rest)
        for path, stat in rest.items():
            if _stat(watch, path) != stat:
                continue  # judged and put away, or written to, since the walk saw it
            detail = (
                "written or touched since the ledger last saw it" if path in heard else "the ledger knows no such file"
            )
            part, fields = naming.fields(from_text(path))
            yield Gap(Kind.FILE, watch.name, path, detail, arrival=Arrival(path, stat, part, fields))

    def _images(self, page: Sequence[Record]) -> Iterator[Gap]:
        """The gaps of a page of images: those that the ledger still stands by after the look at the disk."""
        bundles = comparing.bundles(self._engine) if self._config.sidecar else []
        suspects = self._suspects(page, bundles)
        while suspects:
            now = comparing.again(self._engine, list(suspects))
            same = [record for record in now if record == suspects[record.image_id][0]]
            gaps = [gap for record in same for gap in suspects[record.image_id][1]]
            old = comparing.superseded(
                self._engine, [gap.record for gap in gaps if gap.record and gap.kind is Kind.ROW]
            )
            yield from (gap for gap in gaps if not (gap.kind is Kind.ROW and gap.record and gap.record.image_id in old))
            suspects = self._suspects([record for record in now if record != suspects[record.image_id][0]], bundles)

    def _suspects(self, page: Sequence[Record], bundles: Sequence[str]) -> dict[int, tuple[Record, list[Gap]]]:
        looked = ((record, list(self._look(record, bundles))) for record in page)
        return {record.image_id: (record, gaps) for record, gaps in looked if gaps}

    def _look(self, record: Record, bundles: Sequence[str]) -> Iterator[Gap]:
        """Hold one image against the disk as it is now."""

        def gap(kind: Kind, detail: str) -> Gap:
            return Gap(kind, record.watch, record.path, detail, record=record)

        try:
            if missing := self._source_missing(record):
                yield gap(Kind.ROW, missing)
            elif waits := self._waits(record):
                yield gap(Kind.WAITING, waits)
            if not self._output_there:
                return
            overlay = record.judgement and record.judgement.overlay
            if overlay and not _lies(self._config.output / overlay):
                yield gap(Kind.OVERLAY, f"{overlay} is not there")
            if self._owes_sidecar(record):
                names = [artifact_path(record.claim(), bundle[:8], ".json") for bundle in _models(record, bundles)]
                if not any(_lies(self._config.output / name) for name in names):
                    yield gap(
                        Kind.SIDECAR, f"{record.judgement.verdict if record.judgement else State.FAILED} without one"
                    )
        except OSError as error:
            yield gap(Kind.UNREADABLE, f"{error.filename} cannot be looked at: {error.strerror}")

    def _owes_sidecar(self, record: Record) -> bool:
        """Whether an image has an outcome that should stand in a sidecar: retention removes it with its overlay."""
        said, drawn = record.judgement, self._config.overlay.write
        wanted = said and (drawn == "all" or (drawn == "not_ok" and said.verdict != Verdict.OK))
        is_expired = wanted and said and said.overlay is None
        return self._config.sidecar and record.is_finished and not is_expired

    def _source_missing(self, record: Record) -> str | None:
        """Where the source should lie and does not; None where it does, or where none is owed."""
        watch = self._there.get(record.watch)
        if watch is None or (record.state == State.FAILED and (record.reason or "").startswith("vanished:")):
            return None
        if not record.is_finished and self._age(record) <= grace(watch):
            return None
        if record.after == After.MOVED and record.moved_to:
            gone = not _lies(Path(from_text(record.moved_to)))
            return f"{record.state}, and gone from {record.moved_to}" if gone else None
        if record.after == After.PENDING:
            gone = not any(map(_lies, places(watch, record.finished())))
            return f"{record.state}, and gone before it could be put away" if gone else None
        gone = record.after in _LIES and not _lies(watch.path / from_text(record.path))
        return f"{record.state}, and the file is gone" if gone else None

    def _waits(self, record: Record) -> str | None:
        patience = timedelta(seconds=self._config.limits.stalled)
        if record.is_finished or (record.state != State.STALLED and self._age(record) <= patience):
            return None
        unserved = "" if record.watch in self._watches else ", and the configuration has no such watch"
        return f"{record.state}, seen {record.seen_at}{unserved}"

    def _age(self, record: Record) -> timedelta:
        return self._now - datetime.fromisoformat(record.seen_at)

    def _artifacts(self, watch: str) -> Iterator[Gap]:
        """Overlays and sidecars of one watch that no outcome stands behind."""
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
        rows = comparing.behind(self._engine, {artifact.image_id for _, artifact in named})
        untold = [path for path, artifact in named if not _is_told(path, artifact, rows.get(artifact.image_id))]
        going = comparing.let_go(self._engine, map(to_text, untold))
        for path in untold:
            if to_text(path) not in going and _lies(self._config.output / path):
                yield Gap(Kind.STRAY, watch, to_text(path), "no outcome in the ledger names it")


def _stat(watch: Watch, path: str) -> Stat | None:
    try:
        return look(watch.path / from_text(path), follow_links=watch.follow_links)
    except OSError:
        return None  # its folder was closed a moment ago: the next walk says so


def _lies(path: Path) -> bool:
    """Whether anything lies at a path.

    Raises:
        OSError: it cannot be known.
    """
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _models(record: Record, bundles: Sequence[str]) -> Sequence[str]:
    """The models whose name an image's sidecar may bear: the ledger does not keep which one a failure had met."""
    return [record.judgement.bundle] if record.judgement else bundles


def _is_told(path: str, artifact: Artifact, row: Claimed | None) -> bool:
    if row is None:
        return False
    if row.state not in (State.DONE, State.FAILED):
        return True  # written before its outcome is committed
    if artifact.suffix == ".json":
        return row.state == State.FAILED or any(bundle.startswith(artifact.model) for bundle in row.bundles)
    return path in row.overlays
