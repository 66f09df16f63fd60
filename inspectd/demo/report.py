"""What came of a demo: the ledger's rows beside the truth, and the pictures worth seeing on one sheet."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

import cv2
import numpy as np

from inspectd.demo.camera import TRUTHS, Shot
from inspectd.demo.site import sheet_of
from inspectd.ledger.read.search import Row
from inspectd.rehearsal.site import RehearsalSite
from inspectd.vision.contact import Colour, Tile, contact_sheet

DEFECT_TILES, OK_TILES = 15, 5
RED, GREEN, AMBER = (226, 84, 84), (87, 178, 108), (240, 180, 60)

Pair = tuple[Shot, Row]


@dataclass(frozen=True)
class DemoReport:
    """What became of every file, beside what is true of it.

    Attributes:
        rows: The ledger's rows of the watch.
        seconds: From the first file to the last outcome.
    """

    site: RehearsalSite
    taken: tuple[Shot, ...]
    rows: tuple[Row, ...]
    seconds: float

    @property
    def pairs(self) -> list[Pair]:
        """Every row with the shot that it is about: good surfaces, then each kind of defect, then broken files."""
        shots = {shot.name: shot for shot in self.taken}
        known = [(shots[row.path], row) for row in self.rows if row.path in shots]
        return sorted(known, key=lambda pair: (TRUTHS.index(pair[0].truth), pair[0].kind, pair[0].name))

    @property
    def counts(self) -> dict[str, Counter[str]]:
        """By the kind of shot, how many got which verdict."""
        found: dict[str, Counter[str]] = {}
        for shot, row in self.pairs:
            found.setdefault(shot.kind, Counter())[row.verdict] += 1
        return found

    @property
    def escapes(self) -> int:
        """Defects that passed as OK."""
        return sum(shot.truth == "NG" and row.verdict == "ok" for shot, row in self.pairs)

    @property
    def overkills(self) -> int:
        """Good surfaces that were rejected."""
        return sum(shot.truth == "OK" and row.verdict == "defect" for shot, row in self.pairs)

    @property
    def problems(self) -> list[str]:
        """What must not be; a demo has succeeded when there is nothing."""
        return list(audit(self.taken, self.rows))


def audit(taken: Sequence[Shot], rows: Sequence[Row]) -> Iterator[str]:
    """A sentence for each file that has not exactly one outcome, and for each row of a file that nobody dropped."""
    outcomes = Counter(row.path for row in rows if row.verdict != "pending")
    waiting = {row.path: row.reason for row in rows if row.verdict == "pending"}
    for shot in taken:
        if shot.name in waiting:
            yield f"{shot.name} still waits ({waiting[shot.name] or 'no reason given'})."
        elif outcomes[shot.name] != 1:
            yield f"{shot.name} has {outcomes[shot.name] or 'no'} outcomes."
    for path in sorted({row.path for row in rows} - {shot.name for shot in taken}):
        yield f"{path} is in the ledger, but the camera never took it."


def write_sheet(report: DemoReport) -> bool:
    """Draw the contact sheet into the working folder; False when there was no overlay to show."""
    tiles = []
    for shot, row in worth_seeing(report.pairs):
        picture = cv2.imread(str(report.site.output / str(row.overlay)))
        if picture is not None:
            rgb = np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
            tiles.append(Tile(rgb, *_words(shot, row)))
    if not tiles:
        return False
    sheet = contact_sheet(
        f"{len(tiles)} of {len(report.taken)} files (escapes: {report.escapes}, overkills: {report.overkills})",
        "Errors first, then defects of each kind, then the good surfaces with the highest scores.",
        tiles,
    )
    return cv2.imwrite(str(sheet_of(report.site)), cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))


def worth_seeing(pairs: Sequence[Pair]) -> list[Pair]:
    """At most 20 with an overlay: errors, defects in turns of their kinds, then OK; the highest scores first."""
    seen = sorted((pair for pair in pairs if pair[1].overlay), key=lambda pair: -(pair[1].score or 0.0))
    wrong = [pair for pair in seen if not _right(*pair)]
    found = [pair for pair in seen if _right(*pair) and pair[0].truth == "NG"]
    kinds = sorted({shot.kind for shot, _ in found})
    in_turns = zip_longest(*([pair for pair in found if pair[0].kind == kind] for kind in kinds))
    defects = [pair for pair in chain.from_iterable(in_turns) if pair]
    passed = [pair for pair in seen if _right(*pair) and pair[0].truth == "OK"]
    return [*wrong, *defects][:DEFECT_TILES] + passed[:OK_TILES]


def _right(shot: Shot, row: Row) -> bool:
    return row.verdict == {"OK": "ok", "NG": "defect", "broken": "failed"}[shot.truth]


def _words(shot: Shot, row: Row) -> tuple[str, str, Colour]:
    """The truth as the tile's title, the verdict as its note, and how well they agree as a colour."""
    note = f"{row.verdict} {row.score:.3f}, part {row.part}"
    if _right(shot, row):
        return shot.kind, note, GREEN if shot.truth == "OK" else RED
    return f"{shot.kind}: {'overkill' if shot.truth == 'OK' else 'escape'}", note, AMBER
