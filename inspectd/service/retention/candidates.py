"""Chooses what retention removes: the oldest overlays, moved source images and rows, by age and by free space.

It changes nothing. It never chooses an image that is pinned, reviewed, a `review` or a failure, nor a row whose file
may still be there. It reads from the oldest on, in short reads.
"""

import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine

from inspectd.clock import utc_text
from inspectd.config import Config, Watch, free_bytes
from inspectd.ledger.records import Cursor, Removal, RetentionCandidate
from inspectd.ledger.schema import After
from inspectd.ledger.write.retention import RetentionLedger
from inspectd.paths import from_text, to_text
from inspectd.service.retention.removal import is_gone, look
from inspectd.sizes import size_text
from inspectd.worker.artifacts import artifact_path

PAGE = 200  # candidates in one read, and at most in one transaction

Short = dict[int, int]  # by device: the bytes that are missing to the wanted free space


@dataclass(frozen=True)
class Removable:
    """A candidate that exists and may be removed: its files, their size and their disk."""

    candidate: RetentionCandidate
    removals: tuple[Removal, ...]
    size: int  # bytes on the disk
    device: int


@dataclass(frozen=True)
class Rule:
    """One rule: where its candidates come from, which of them exist, and how the ledger releases them."""

    name: str  # its key in the configuration
    noun: str
    days: int | None
    free: str | None
    roots: tuple[Path, ...]  # the folders whose disks `free` is about
    page: Callable[[Cursor, int], list[RetentionCandidate]]
    find: Callable[[Sequence[RetentionCandidate]], list[Removable]]
    let_go: Callable[[Mapping[int, Sequence[Removal]]], None]


@dataclass
class RemovalTally:
    """How much one rule removes, and why."""

    by_age: int = 0
    by_space: int = 0
    bytes: int = 0

    def add(self, going: Sequence[Removable], before: str) -> None:
        aged = sum(each.candidate.at < before for each in going)
        self.by_age += aged
        self.by_space += len(going) - aged
        self.bytes += sum(each.size for each in going)

    def text(self, noun: str) -> str:
        """``12 overlays (10 by age, 2 for free space; 3.1 MB)``."""
        why = f"{self.by_age} by age, {self.by_space} for free space"
        return f"{self.by_age + self.by_space} {noun} ({why}; {size_text(self.bytes)})"


def rules(config: Config, expiry: RetentionLedger) -> list[Rule]:
    """The rules in force, in their order: large files first, rows last."""
    wanted, watches = config.retention, {watch.name: watch for watch in config.watch}
    archives = tuple({watch.archive for watch in config.watch if watch.after == "move"})
    made = [
        Rule(
            "sources",
            "source images",
            *(wanted.sources.days, wanted.sources.free, archives),
            expiry.sources,
            lambda page: list(_sources(page, watches, expiry.shared([each.id for each in page]))),
            expiry.expire_sources,
        ),
        Rule(
            "overlays",
            "overlays",
            *(wanted.overlays.days, wanted.overlays.free, (config.output,)),
            expiry.overlays,
            lambda page: list(_overlays(page, config.output)),
            expiry.expire_overlays,
        ),
        Rule(
            "rows",
            "rows",
            *(wanted.rows.days, None, ()),
            expiry.rows,
            lambda page: list(_rows(page, config, watches, expiry)),
            expiry.remove_rows,
        ),
    ]
    return [rule for rule in made if rule.days or rule.free]


def cutoff(rule: Rule, now: datetime) -> str:
    """Images with an outcome before this time are removed by age; empty if the rule has no age."""
    return utc_text(now - timedelta(days=rule.days)) if rule.days else ""


def walk(rule: Rule, before: str, missing: Short) -> Iterator[list[Removable]]:
    """Yields what a rule removes, from the oldest on, a page at a time; reduces `missing` by the space that this frees.

    The disks are measured once, before, because some free the space of a removed file only later.
    """
    beyond = Cursor()
    while True:
        is_short = max(missing.values(), default=0) > 0
        page = rule.page(beyond, PAGE)
        due = page if is_short else [each for each in page if each.at < before]
        yield choose(rule.find([each for each in due if not each.is_protected]), before, missing)
        if len(page) < PAGE or len(due) < len(page):
            return
        beyond = Cursor(page[-1].at, page[-1].id)


def choose(found: Sequence[Removable], before: str, missing: Short) -> list[Removable]:
    """Chooses, from candidates by age, those older than a time, and as many as a full disk needs."""
    going = []
    for each in found:
        if each.candidate.at < before or missing.get(each.device, 0) > 0:
            going.append(each)
            if each.device in missing:
                missing[each.device] -= each.size
    return going


def shortage(rule: Rule) -> Short:
    """The disks of a rule's folders that have less free space than it asks for, with the missing bytes."""
    short: Short = {}
    for root in rule.roots if rule.free else ():
        try:
            disk, device = os.statvfs(root), root.stat().st_dev
        except OSError:  # not there yet, or not mounted
            continue
        missing = free_bytes(rule.free or "", disk.f_blocks * disk.f_frsize) - disk.f_bavail * disk.f_frsize
        if missing > 0:
            short[device] = missing
    return short


def _sources(
    page: Sequence[RetentionCandidate], watches: Mapping[str, Watch], shared: Container[str]
) -> Iterator[Removable]:
    """Moved files that lie in their watch's archive, in no watch, and are still the very file of a single image."""
    watched = [watch.path.resolve() for watch in watches.values()]
    for each in page:
        watch, path = watches.get(each.watch), Path(from_text(each.file or ""))
        if watch is None or each.file in shared or not path.is_relative_to(watch.archive):
            continue
        if any(path.resolve().is_relative_to(folder) for folder in watched):
            continue
        there = look(watch.archive, path)
        if there and (there.st_size, there.st_mtime_ns) == (each.size, each.mtime_ns):
            removal = _removal(watch.archive, path, each.size, each.mtime_ns)
            # The file may have been dropped again, long after its outcome.
            dropped = utc_text(datetime.fromtimestamp(each.ctime_ns / 1e9, UTC))
            yield Removable(replace(each, at=max(each.at, dropped)), (removal,), there.st_blocks * 512, there.st_dev)


def _overlays(page: Sequence[RetentionCandidate], output: Path) -> Iterator[Removable]:
    for each in page:
        root, path = output / each.watch, output / (each.file or "")
        if there := look(root, path):
            drawn = (_removal(root, path), _removal(root, path.with_suffix(".json")))
            yield Removable(each, drawn, there.st_blocks * 512, there.st_dev)


def _rows(
    page: Sequence[RetentionCandidate], config: Config, watches: Mapping[str, Watch], expiry: RetentionLedger
) -> Iterator[Removable]:
    """Rows whose file is certainly gone; otherwise the next scan would take the file for a new image."""
    gone = [each for each in page if each.watch in watches and _source_is_gone(each, watches[each.watch])]
    drawn = expiry.drawn([each.id for each in gone])
    for each in gone:
        root = config.output / each.watch
        names = [
            artifact_path(each, model, ".json") for _, model in drawn[each.id]
        ]  # there may be a sidecar without an overlay
        names += [Path(overlay) for overlay, _ in drawn[each.id] if overlay]
        paths = [config.output / name for name in names]
        yield Removable(each, tuple(_removal(root, path) for path in paths if look(root, path)), 0, 0)


def _source_is_gone(row: RetentionCandidate, watch: Watch) -> bool:
    source = watch.path / from_text(row.path)
    if row.after == After.MOVED:
        moved_to = Path(from_text(row.file or ""))
        return not os.path.lexists(source) and is_gone(watch.archive, moved_to)
    if os.path.lexists(source):
        return row.is_superseded and not _is(source, row)
    return row.after in (After.DELETED, After.EXPIRED) or is_gone(watch.path, source)


def _is(source: Path, row: RetentionCandidate) -> bool:
    """Whether a file there may be the file of the row, followed or not."""
    held = (row.size, row.mtime_ns, row.ctime_ns)
    try:
        stats = [source.lstat(), source.stat()]
    except OSError:
        return True
    return any((each.st_size, each.st_mtime_ns, each.st_ctime_ns) == held for each in stats)


def _removal(root: Path, path: Path, size: int | None = None, mtime_ns: int | None = None) -> Removal:
    return Removal(to_text(str(root)), to_text(str(path.relative_to(root))), size, mtime_ns)


@dataclass(frozen=True)
class Outlook:
    """What one rule would remove now."""

    name: str
    days: int | None
    free: str | None
    by_age: int
    by_space: int
    bytes: int
    still_short: bool  # even then less would be free than the rule asks for


@dataclass(frozen=True)
class Preview:
    """What retention would do if it began now."""

    rules: tuple[Outlook, ...]
    protected: dict[str, int]  # protected images, by the reason
    pending: int  # files that are released but not yet removed

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


def preview(config: Config, engine: Engine, now: datetime) -> Preview:
    """Computes what retention would remove, and changes nothing."""
    expiry = RetentionLedger(engine)
    outlooks = []
    for rule in rules(config, expiry):
        tally, before, missing = RemovalTally(), cutoff(rule, now), shortage(rule)
        for going in walk(rule, before, missing):
            tally.add(going, before)
        still_short = max(missing.values(), default=0) > 0
        outlooks.append(Outlook(rule.name, rule.days, rule.free, **vars(tally), still_short=still_short))
    return Preview(tuple(outlooks), expiry.protected(), expiry.pending())
