"""`inspectd reconcile`: compares disk, ledger, overlays and sidecars."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output
from inspectd.cli.lookup import narrowed_by, open_ledger
from inspectd.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from inspectd.config import Config
    from inspectd.ledger.read.filters import Filter
    from inspectd.service.reconcile.gaps import Gap

    Told = tuple[Gap, str | None, bool]  # a gap, the result of its repair, and whether it is still open

SHOWN = 50  # gaps of a kind that are printed; all are counted
HEADINGS = {
    "not-compared": "could not be compared",
    "file-without-row": "files without a row in the ledger",
    "row-without-file": "rows whose file is gone",
    "moved-file-changed": "moved files that have changed since they were judged",
    "no-outcome": "images that have waited long for an outcome",
    "verdict-without-overlay": "verdicts without their overlay",
    "outcome-without-sidecar": "outcomes without their sidecar",
    "overlay-without-verdict": "overlays and sidecars without an outcome",
    "number-missing": "gaps in numbered names",
}


@narrowed_by("since", "until", "watch")
def reconcile(
    wanted: "Filter",
    config: ConfigOption = None,
    sequence: Annotated[
        str | None,
        typer.Option(
            "--sequence",
            metavar="REGEX",
            help="Look for gaps in numbered names: 'img_(\\d+)'. Its first group, or the group number, is the number; "
            "other groups tell series apart, as folders do.",
        ),
    ] = None,
    repair: Annotated[
        bool,
        typer.Option("--repair", help="Queue missed files, have missing overlays drawn, write missing sidecars."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare disk, ledger, overlays and sidecars; exit 1 on a gap.

    The daemon may run or not. Times are those of the arrival. A repair removes nothing; it exits with 1 if a gap
    remains.
    """
    numbered = _pattern(sequence)
    settings, engine = open_ledger(config)
    from inspectd.ledger.read.filters import Span
    from inspectd.service.reconcile.comparison import Comparison

    span = Span(wanted.since, wanted.until)
    comparison = Comparison(settings, engine, span, datetime.now(UTC), wanted.watch, numbered)
    found = comparison.gaps()
    told = _repaired(settings, engine, found) if repair else ((gap, None, True) for gap in found)
    tally = _Tally()
    if as_json:
        output.write_json(_record(*each) for each in tally.counted(told))
    else:
        _tell(tally, told)
    for name, left_out in comparison.left_out.items():
        if left_out:
            print(f"Left out of watch {name}: {left_out}.", file=sys.stderr if as_json else sys.stdout)
    if tally.open:
        raise typer.Exit(1)


def _repaired(settings: "Config", engine: "Engine", gaps: "Iterator[Gap]") -> "Iterator[Told]":
    from inspectd.ledger.database import open_writer
    from inspectd.ledger.read.reconcile import bundles
    from inspectd.ledger.write.queue import Queue
    from inspectd.service.reconcile.repair import Repairs

    queue = Queue(open_writer(settings.database))
    for each in Repairs(settings, queue, bundles(engine)).repair(gaps):
        yield each.gap, each.done or f"not repaired: {each.problem}", each.problem is not None


def _pattern(sequence: str | None) -> re.Pattern[str] | None:
    if sequence is None:
        return None
    try:
        pattern = re.compile(sequence)
    except re.error as error:
        raise typer.BadParameter(f"it is no regular expression: {error}.", param_hint="--sequence") from None
    if not pattern.groups:
        raise typer.BadParameter(
            f"'{sequence}' has no group around the number: write it as in 'img_(\\d+)'.", param_hint="--sequence"
        )
    return pattern


class _Tally:
    """Counts gaps as they pass."""

    def __init__(self) -> None:
        self.all = 0
        self.open = 0

    def counted(self, told: "Iterator[Told]") -> "Iterator[Told]":
        for each in told:
            self.all += 1
            self.open += each[2]
            yield each


def _tell(tally: _Tally, told: "Iterator[Told]") -> None:
    """Prints the gaps by kind, the first of each."""
    lines: dict[str, list[str]] = {kind: [] for kind in HEADINGS}
    counts = dict.fromkeys(HEADINGS, 0)
    for gap, repair, _ in tally.counted(told):
        counts[gap.kind] += 1
        if len(lines[gap.kind]) < SHOWN:
            lines[gap.kind].append(": ".join(filter(None, (gap.watch, gap.path, gap.detail, repair))))
    for kind, heading in HEADINGS.items():
        if counts[kind]:
            output.say(f"{counts[kind]:,} {heading}:")
        for line in lines[kind]:
            output.say(f"  {line}")
        if counts[kind] > len(lines[kind]):
            output.say(f"  and {counts[kind] - len(lines[kind]):,} more; --json has them all.")
    if not tally.all:
        output.say("Disk, ledger, overlays and sidecars agree.")


def _record(gap: "Gap", repair: str | None, is_open: bool) -> dict[str, Any]:
    image = gap.record.image_id if gap.record else None
    said = {"kind": gap.kind, "watch": gap.watch, "path": gap.path, "detail": gap.detail, "image": image}
    return said if repair is None else {**said, "repair": repair, "repaired": not is_open}
