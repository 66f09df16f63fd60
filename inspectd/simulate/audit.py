"""The notes: what was dropped, what may rightly become of it, and what the ledger says did. Pure accounting.

A content is noted before its file exists, so that nothing the daemon does can be unexpected for want of a note. A
content is known by its path and sha256: every one has bytes of its own. The notes never ask the daemon anything; they
are shown rows and find the promises that those rows break.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inspectd.domain import Verdict
from inspectd.ledger.read.search import Row
from inspectd.ledger.records import VANISHED, reason_code
from inspectd.ledger.schema import State

Key = tuple[str, str]  # path in the watch, sha256

PENDING = "pending"
CRASHES = "crashes the worker"  # what a whole image may rightly fail of where workers are killed


class Expected(StrEnum):
    """What may rightly become of a content."""

    JUDGED = "judged"  # a whole image that stays: exactly one verdict
    FAILED = "failed"  # no whole image: exactly one failure
    PERHAPS = "perhaps"  # a whole image that is soon replaced or deleted: at most one verdict


class Notes:
    """What was dropped so far."""

    def __init__(self) -> None:
        self.expected: dict[Key, Expected] = {}
        self.whole_at: dict[Key, float] = {}  # seconds since the epoch
        self.may_vanish: set[str] = set()  # paths whose file was away once
        self._awaited: set[Key] = set()
        self._met: set[Key] = set()

    def note(self, key: Key, fate: Expected) -> None:
        """This content is about to be dropped."""
        self.expected[key] = fate
        if fate is not Expected.PERHAPS:
            self._awaited.add(key)

    def whole(self, key: Key, at: float) -> None:
        """The file of this content is complete, under its name, in its place."""
        self.whole_at[key] = at

    def vanish(self, paths: Iterable[str]) -> None:
        """These files are about to be away, for a while or for good."""
        self.may_vanish.update(paths)

    def meet(self, rows: Iterable[Row]) -> None:
        """These rows have an outcome: their contents are awaited no longer."""
        for row in rows:
            if row.sha256 is not None and row.verdict != PENDING and not is_vanished(row):
                self._met.add((row.path, row.sha256))
                self._awaited.discard((row.path, row.sha256))

    def has_outcome(self, key: Key) -> bool:
        """Whether a row with this content's outcome was shown."""
        return key in self._met

    @property
    def awaited(self) -> int:
        """How many contents must still get an outcome."""
        return len(self._awaited)


@dataclass(frozen=True)
class Audit:
    """The ledger beside the notes. Each list of paths is a promise; it is kept while the list is empty.

    Attributes:
        lost: Contents without an outcome, and rows that still wait.
        duplicated: Contents with more than one row or more than one inspection.
        truncated_but_judged: Rows with a verdict on bytes that were never a whole image under that name.
        whole_but_failed: Whole images that failed, other than as one that workers died of.
        unexplained: Rows of files that nobody dropped, or that vanished though nobody took them away.
        overlays_missing: Rows with a verdict whose overlay is not in the output folder.
        verdicts: How many rows have which verdict.
        failures: How many rows failed, by the code of the reason.
        latencies: Seconds from whole file to verdict, sorted, of every image that had to be judged and was.
    """

    lost: tuple[str, ...]
    duplicated: tuple[str, ...]
    truncated_but_judged: tuple[str, ...]
    whole_but_failed: tuple[str, ...]
    unexplained: tuple[str, ...]
    overlays_missing: tuple[str, ...]
    verdicts: Counter[str]
    failures: Counter[str]
    latencies: tuple[float, ...]

    @property
    def promises(self) -> dict[str, tuple[str, ...]]:
        """By the promise's name, the paths that break it."""
        names = ("lost", "duplicated", "truncated_but_judged", "whole_but_failed", "unexplained", "overlays_missing")
        return {name: getattr(self, name) for name in names}


def audit(notes: Notes, rows: Sequence[Row], has_overlay: Callable[[str], bool], twice: Collection[int]) -> Audit:
    """Hold every row of the ledger against the notes.

    Args:
        has_overlay: Whether this overlay, as a row names it, is in the output folder.
        twice: The ids of images with more than one inspection.
    """
    finished = [row for row in rows if row.verdict != PENDING]
    judged = [row for row in finished if row.verdict in tuple(Verdict)]
    failed = [row for row in finished if row.verdict == State.FAILED]
    by_content: dict[Key, list[Row]] = defaultdict(list)
    for row in finished:
        if row.sha256 is not None and not is_vanished(row):
            by_content[row.path, row.sha256].append(row)
    missing = [
        path
        for (path, sha), fate in notes.expected.items()
        if fate is not Expected.PERHAPS and (path, sha) not in by_content
    ]
    return Audit(
        lost=_paths([*missing, *(row.path for row in rows if row.verdict == PENDING)]),
        duplicated=_paths(
            path for (path, _), of in by_content.items() if len(of) > 1 or any(r.id in twice for r in of)
        ),
        truncated_but_judged=_paths(row.path for row in judged if _expected(notes, row) in (None, Expected.FAILED)),
        whole_but_failed=_paths(row.path for row in failed if _is_whole(notes, row) and code(row) != CRASHES),
        unexplained=_paths(_unexplained(notes, rows)),
        overlays_missing=_paths(row.path for row in judged if row.overlay is None or not has_overlay(row.overlay)),
        verdicts=Counter(row.verdict for row in judged),
        failures=Counter(code(row) for row in failed),
        latencies=tuple(sorted(_latencies(notes, judged))),
    )


def code(row: Row) -> str:
    """What stands before the colon of a row's reason."""
    return reason_code(row.reason or "no reason")


def is_vanished(row: Row) -> bool:
    """Whether the row tells of a file that went away. That is no outcome of its content, which a first look may have
    seen: the file may come back."""
    return row.verdict == State.FAILED and code(row) == VANISHED


def _paths(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(set(paths)))


def _expected(notes: Notes, row: Row) -> Expected | None:
    return notes.expected.get((row.path, row.sha256 or ""))


def _is_whole(notes: Notes, row: Row) -> bool:
    return _expected(notes, row) in (Expected.JUDGED, Expected.PERHAPS) and not is_vanished(row)


def _unexplained(notes: Notes, rows: Sequence[Row]) -> Iterator[str]:
    dropped = {path for path, _ in notes.expected}
    for row in rows:
        if row.path not in dropped or (is_vanished(row) and row.path not in notes.may_vanish):
            yield row.path


def _latencies(notes: Notes, judged: Sequence[Row]) -> Iterator[float]:
    """A clock that was set back meanwhile makes a latency of 0, never one below."""
    for row in judged:
        whole = notes.whole_at.get((row.path, row.sha256 or ""))
        if whole is not None and row.inspected_at and _expected(notes, row) is Expected.JUDGED:
            yield max(0.0, datetime.fromisoformat(row.inspected_at).timestamp() - whole)
