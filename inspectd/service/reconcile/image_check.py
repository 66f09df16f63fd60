"""Checks that an image of the ledger has its source, its overlay and its sidecar on the disk."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from inspectd.config import Config, Watch
from inspectd.ledger.read.reconcile import Record
from inspectd.ledger.records import VANISHED, reason_code
from inspectd.ledger.schema import After, State
from inspectd.paths import from_text
from inspectd.service.reconcile.gaps import Gap, Kind, grace, lies
from inspectd.worker.after import is_judged, places
from inspectd.worker.artifacts import artifact_path

_STAYS = (None, After.KEPT)  # the values of `after` of a source that is still where it was dropped


class ImageCheck:
    """Compares images with the disk.

    Args:
        there: The watches whose folder is there; files of other watches cannot be checked.
        output_there: Whether the folder `output` is there.
        now: The present time.
    """

    def __init__(self, config: Config, there: Mapping[str, Watch], *, output_there: bool, now: datetime) -> None:
        self._config = config
        self._served: Collection[str] = {watch.name for watch in config.watch}
        self._there = there
        self._output_there = output_there
        self._now = now

    def gaps(self, record: Record, bundles: Sequence[str]) -> Iterator[Gap]:
        """Yields the gaps of one image.

        Args:
            bundles: The models that were ever in service; the name of a failure's sidecar has one of them.
        """

        def gap(kind: Kind, detail: str) -> Gap:
            return Gap(kind, record.watch, record.path, detail, record=record)

        try:
            if missing := self._source_missing(record):
                yield gap(Kind.ROW, missing)
            elif changed := self._moved_and_changed(record):
                yield gap(Kind.CHANGED, changed)
            elif waits := self._waits(record):
                yield gap(Kind.WAITING, waits)
            if not self._output_there:
                return
            overlay = record.in_force and record.in_force.overlay
            if overlay and not lies(self._config.output / overlay):
                yield gap(Kind.OVERLAY, f"{overlay} is not there")
            if self._owes_sidecar(record):
                said = record.in_force
                models = [said.bundle] if said else bundles
                names = [artifact_path(record, model[:8], ".json") for model in models]
                if not any(lies(self._config.output / name) for name in names):
                    yield gap(Kind.SIDECAR, f"{said.verdict if said else State.FAILED} without one")
        except OSError as error:
            yield gap(Kind.UNREADABLE, f"{error.filename} cannot be looked at: {error.strerror}")

    def _owes_sidecar(self, record: Record) -> bool:
        """Whether an image should have a sidecar: it has an outcome, and retention has not removed its overlay."""
        said = record.in_force
        is_expired = said and said.overlay is None and self._config.overlay.is_wanted(said.verdict)
        return self._config.sidecar and record.is_finished and not is_expired

    def _source_missing(self, record: Record) -> str | None:
        """Returns how the source is missing; None if it is there or need not be."""
        watch = self._there.get(record.watch)
        if watch is None or (record.state == State.FAILED and reason_code(record.reason or "") == VANISHED):
            return None
        if not record.is_finished and self._age(record) <= grace(watch):
            return None
        if record.after == After.MOVED and record.moved_to:
            gone = not lies(Path(from_text(record.moved_to)))
            return f"{record.state}, and gone from {record.moved_to}" if gone else None
        if record.after == After.PENDING:
            gone = not any(map(lies, places(watch, record.finished())))
            return f"{record.state}, and gone before it could be put away" if gone else None
        gone = record.after in _STAYS and not lies(watch.path / from_text(record.path))
        return f"{record.state}, and the file is gone" if gone else None

    def _moved_and_changed(self, record: Record) -> str | None:
        """Returns how a moved source has changed since it was judged; None if it has not, or was not moved."""
        if record.watch not in self._there or record.after != After.MOVED or not record.moved_to:
            return None
        same = is_judged(Path(from_text(record.moved_to)), record.stat)
        return None if same else f"{record.state}, and {record.moved_to} was written to since, or replaced"

    def _waits(self, record: Record) -> str | None:
        patience = timedelta(seconds=self._config.limits.stalled)
        if record.is_finished or (record.state != State.STALLED and self._age(record) <= patience):
            return None
        unserved = "" if record.watch in self._served else ", and the configuration has no such watch"
        return f"{record.state}, seen {record.seen_at}{unserved}"

    def _age(self, record: Record) -> timedelta:
        return self._now - datetime.fromisoformat(record.seen_at)
