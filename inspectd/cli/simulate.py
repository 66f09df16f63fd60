"""`inspectd simulate`: tests this machine with files and faults of every kind before it goes into service."""

import signal
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from inspectd.cli import output
from inspectd.cli.options import JsonOption

if TYPE_CHECKING:
    from inspectd.simulate.report import SimulationReport

SHOWN = 20  # paths of a broken promise that are printed


def simulate(
    images: Annotated[
        Path | None,
        typer.Option("--images", metavar="DIR", help="Images to drop, copied from here. Default: synthetic textures."),
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=10, max=1_000_000, help="Files to drop; some faults drop 20 more.")
    ] = 600,
    rate: Annotated[float, typer.Option("--rate", min=0.1, max=1000, help="Files a second, between bursts.")] = 5.0,
    kills: Annotated[
        int, typer.Option("--kills", min=0, max=10_000, help="Number of SIGKILLs; one in five goes to the daemon.")
    ] = 6,
    seed: Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="Seed of every random choice.")] = 2026,
    directory: Annotated[
        Path | None,
        typer.Option("--dir", metavar="DIR", help="A new folder to work in, which is kept. Default: a temporary one."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Test this machine: files arrive in every way while the daemon is killed, stopped and starved.

    It works in a folder of its own with a daemon of its own. Exits 0 only if no image was lost, doubled or misjudged.
    """
    from inspectd.rehearsal.album import album_of, own_album
    from inspectd.simulate.fault_plan import EVERY_FAULT, SimulationOptions
    from inspectd.simulate.mount_namespace import enter
    from inspectd.simulate.simulate import simulate

    no_disk = enter() if count >= EVERY_FAULT else None
    for stop in (signal.SIGINT, signal.SIGTERM):
        signal.signal(stop, signal.default_int_handler)
    try:
        album = album_of(images) if images else own_album(seed)
        say = _nothing if as_json else _line
        report = simulate(SimulationOptions(count, rate, kills, seed, no_disk), album, directory, say)
    except KeyboardInterrupt:
        if not as_json:
            output.say("Interrupted. The daemon is stopped.")
        raise typer.Exit(130) from None
    if as_json:
        output.write_json_lines([report.as_dict()])
    else:
        _tell(report)
    if not report.kept_promises:
        raise typer.Exit(1)


def _nothing(_: str) -> None:
    """Says nothing, because JSON output is a single object."""


def _line(sentence: str) -> None:
    output.say(sentence)
    sys.stdout.flush()


def _tell(report: "SimulationReport") -> None:
    """Prints the report: what was dropped, the outcomes, the faults, and the promises."""
    audit = report.audit
    latency = ", ".join(
        f"{name} {'–' if value is None else f'{value:.2f} s'}" for name, value in report.latency.items()
    )
    rows = [
        ("dropped", str(report.dropped.total()), _counts(report.dropped)),
        ("verdicts", str(audit.verdicts.total()), _counts(audit.verdicts)),
        ("failures", str(audit.failures.total()), _counts(audit.failures)),
        ("faults made", str(report.faults.total()), _counts(report.faults)),
        *((name.replace("_", " "), str(len(paths)), "") for name, paths in audit.promises.items()),
    ]
    output.say("")
    output.write_table(("what", "count", "of these"), rows, right=("count",))
    output.say("")
    output.say(f"From whole file to verdict, faults and restarts included: {latency}.")
    output.say(f"{report.outcomes} outcomes in {report.seconds:.0f} s: {report.per_second:.1f} images/s.")
    for name, reason in report.not_made.items():
        output.say(f"Not made: {name.replace('_', ' ')} ({reason}).")
    for sentence in report.broken:
        output.say(f"BROKEN: {sentence}")
    for name, paths in audit.promises.items():
        for path in paths[:SHOWN]:
            output.say(f"BROKEN: {name.replace('_', ' ')}: {path}")
        if len(paths) > SHOWN:
            output.say(f"BROKEN: {name.replace('_', ' ')}: {len(paths) - SHOWN} more; --json has them all")
    if report.kept_promises:
        output.say("Every promise was kept.")
    if report.kept:
        output.say(f"The site is kept in {report.kept}; the daemon's log is daemon.log in it.")


def _counts(counts: Counter[Any]) -> str:
    return ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items()))
