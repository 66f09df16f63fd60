"""`inspectd reconcile`: do disk, ledger, overlays and sidecars agree?"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output
from inspectd.cli.lookup import SinceOption, UntilOption, WatchOption, moment, open_ledger
from inspectd.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from inspectd.service.reconcile import Gap

SHOWN = 50  # gaps of a kind that people are shown; all are counted
HEADINGS = {
    "not-compared": "could not be compared",
    "file-without-row": "files without a row in the ledger",
    "row-without-file": "rows whose file is gone",
    "no-outcome": "images without an outcome for long",
    "verdict-without-overlay": "verdicts without their overlay",
    "outcome-without-sidecar": "outcomes without their sidecar",
    "overlay-without-verdict": "overlays and sidecars without an outcome",
    "number-missing": "gaps in numbered names",
}


def reconcile(
    config: ConfigOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    watch: WatchOption = None,
    sequence: Annotated[
        str | None,
        typer.Option(
            "--sequence",
            metavar="REGEX",
            help="Look for gaps in numbered names: 'img_(\\d+)'. Its first group, or the one called number, counts; "
            "other groups tell one series from another, as folders do.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare disk, ledger, overlays and sidecars; exit 1 on a gap.

    The daemon may run or not. A time is that of the arrival.
    """
    numbered = _pattern(sequence)
    settings, engine = open_ledger(config)
    from inspectd.ledger.comparing import Span
    from inspectd.service.reconcile import Comparison

    span = Span(moment(since, "--since"), moment(until, "--until"))
    gaps = Comparison(settings, engine, span, datetime.now(UTC), watch, numbered).gaps()
    found = _Tally()
    if as_json:
        output.write_json(map(_record, found.counted(gaps)))
    else:
        _tell(found, gaps)
    if found.number:
        raise typer.Exit(1)


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
    """Gaps counted as they pass."""

    def __init__(self) -> None:
        self.number = 0

    def counted(self, gaps: "Iterator[Gap]") -> "Iterator[Gap]":
        for gap in gaps:
            self.number += 1
            yield gap


def _tell(found: _Tally, gaps: "Iterator[Gap]") -> None:
    """Grouped by kind; only the first of each are kept, however many there are."""
    groups: dict[str, list[Gap]] = {kind: [] for kind in HEADINGS}
    counts = dict.fromkeys(HEADINGS, 0)
    for gap in found.counted(gaps):
        counts[gap.kind] += 1
        if len(groups[gap.kind]) < SHOWN:
            groups[gap.kind].append(gap)
    for kind, group in groups.items():
        if not group:
            continue
        output.say(f"{counts[kind]:,} {HEADINGS[kind]}:")
        for gap in group:
            output.say("  " + ": ".join(filter(None, (gap.watch, gap.path, gap.detail))))
        if counts[kind] > len(group):
            output.say(f"  and {counts[kind] - len(group):,} more; --json has them all.")
    if not found.number:
        output.say("Disk, ledger, overlays and sidecars agree.")


def _record(gap: "Gap") -> dict[str, Any]:
    image = gap.record.image_id if gap.record else None
    return {"kind": gap.kind, "watch": gap.watch, "path": gap.path, "detail": gap.detail, "image": image}
