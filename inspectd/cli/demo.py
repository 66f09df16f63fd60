"""`inspectd demo`: shows a synthetic camera, the daemon and the ledger at work, on this machine alone."""

import shlex
import signal
import sys
import time
from collections import Counter, deque
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output

if TYPE_CHECKING:
    from collections.abc import Iterator

    from inspectd.demo.camera import Shot
    from inspectd.demo.report import DemoReport
    from inspectd.ledger.read.search import Row

VERDICTS = ("ok", "defect", "review", "failed")
RECENT = 12  # outcomes on the live view


def demo(
    images: Annotated[
        int, typer.Option("--images", min=1, max=5000, help="Number of pictures; the demo adds two broken files.")
    ] = 60,
    directory: Annotated[
        Path, typer.Option("--dir", metavar="DIR", help="The working folder; an earlier demo in it is cleared first.")
    ] = Path("demo"),
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of the synthetic camera.")] = 2026,
) -> None:
    """Let the real daemon inspect the pictures of a synthetic camera, without a download, a GPU or a server.

    Exits 0 only if every file has exactly one outcome.
    """
    from inspectd.demo.demo import run_demo

    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    try:
        with _screen() as screen:
            report = run_demo(directory, images, seed, screen)
    except KeyboardInterrupt:
        output.say(f"Interrupted. The daemon is stopped; what it recorded is in {directory}.")
        raise typer.Exit(130) from None
    _tell(report)
    if report.problems:
        raise typer.Exit(1)


class _Plain:
    """Prints one line for everything that happens."""

    def say(self, sentence: str) -> None:
        output.say(sentence)
        sys.stdout.flush()

    def show(self, shot: "Shot", row: "Row", done: int, total: int) -> None:
        self.say(f"{done:>4}/{total}  {row.verdict:<6}  {_score(row):<5}  {shot.name}  ({shot.kind})")


class _View:
    """The live view on a terminal: the newest outcomes, a bar with counts, and a line that says what happens."""

    def __init__(self) -> None:
        from rich.spinner import Spinner

        self._now = Spinner("dots")
        self._recent: deque[tuple[Shot, Row]] = deque(maxlen=RECENT)
        self._counts: Counter[str] = Counter()
        self._done, self._total = 0, 0
        self._first, self._last = 0.0, 0.0

    def say(self, sentence: str) -> None:
        self._now.update(text=output.printable(sentence))

    def show(self, shot: "Shot", row: "Row", done: int, total: int) -> None:
        self._last = time.monotonic()
        self._first = self._first or self._last
        self._recent.append((shot, row))
        self._counts[row.verdict] += 1
        self._done, self._total = done, total

    def __rich__(self) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        if not self._total:
            return self._now
        outcomes = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for title in ("verdict", "score", "file", "truth", "why it failed"):
            outcomes.add_column(title, no_wrap=True)
        for shot, row in tuple(self._recent):
            code = (row.reason or "").partition(":")[0]
            outcomes.add_row(output.styled(row.verdict), _score(row), shot.name, shot.kind, code)
        bar = Table.grid(padding=(0, 2))
        counts = ", ".join(f"{count} {verdict}" for verdict, count in sorted(self._counts.items()))
        rate = (self._done - 1) / max(self._last - self._first, 1e-3)
        bar.add_row(
            ProgressBar(self._total, self._done, width=30),
            f"{self._done}/{self._total}",
            counts,
            f"{rate:.1f} images/s",
        )
        return Group(outcomes, "", bar, self._now)


@contextmanager
def _screen() -> "Iterator[_Plain | _View]":
    """The live view on a terminal, otherwise plain lines."""
    if not sys.stdout.isatty():
        yield _Plain()
        return
    from rich.live import Live

    view = _View()
    with Live(view, console=output.console(), refresh_per_second=10):
        yield view


def _tell(report: "DemoReport") -> None:
    """Prints the counts against the truth, where the pictures are, and how to query the ledger."""
    from inspectd.demo.site import sheet_of

    site, sheet = report.site, sheet_of(report.site)
    output.say("")
    rows = [
        (kind, str(counts.total()), *(str(counts[verdict] or "") for verdict in VERDICTS))
        for kind, counts in report.counts.items()
    ]
    output.write_table(("truth", "files", *VERDICTS), rows, right=("files", *VERDICTS))
    output.say("")
    rate = len(report.taken) / max(report.seconds, 1e-3)
    output.say(
        f"Escapes (a defect passed as OK): {report.escapes}. Overkills (a good part rejected): {report.overkills}. "
        f"{len(report.taken)} files in {report.seconds:.1f} s: {rate:.1f} images/s, as the camera sets the pace."
    )
    for shot, row in report.pairs:
        if row.verdict == "failed":
            output.say(f"{shot.name} failed: {row.reason}")
    if sheet.exists():
        output.say(f"Contact sheet: {sheet}    Overlays: {site.output}    Log: {site.log}")
    output.say("Query the ledger:")
    config, ledger = shlex.quote(str(site.config)), shlex.quote(str(site.ledger))
    program = output.program()
    output.say(f"  {program} results -c {config} --verdict defect")
    output.say(f"  {program} show -c {config} {report.taken[0].name}")
    output.say(f"  {program} stats -c {config} --by hour")
    output.say(f"""  sqlite3 {ledger} "select * from verdicts where verdict='defect'\"""")
    for problem in report.problems:
        output.say(f"WRONG: {problem}")
    if not report.problems:
        output.say(f"Each of the {len(report.taken)} files has exactly one outcome.")


def _score(row: "Row") -> str:
    return "" if row.score is None else f"{row.score:.3f}"
