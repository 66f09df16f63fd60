"""`inspectd status`: the present state, from the ledger, the last scan, and a look at folders and disks."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from inspectd.cli import output
from inspectd.cli.lookup import open_ledger
from inspectd.cli.options import ConfigOption, JsonOption
from inspectd.sizes import size_text

if TYPE_CHECKING:
    from inspectd.ingest.left_out import LeftOut
    from inspectd.ledger.read.status import RecentFigures, WatchStatus
    from inspectd.service.metrics.disk_space import DiskSpace

STATES = ("queued", "claimed", "settling", "stalled", "done", "failed")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the present state: images by watch and state, models in use, the last 24 hours, and the newest events.

    The figures come from the ledger and the last scan, whether the daemon runs or not; folders and disks are checked
    now. Times are local in the table, UTC in JSON.
    """
    settings, engine = open_ledger(config)
    from inspectd.ledger.read.status import recent
    from inspectd.ledger.read.status import status as query
    from inspectd.service.left_out import read_left_out
    from inspectd.service.metrics.disk_space import disk_folders, disk_space

    now = datetime.now(UTC)
    found = query(engine, [watch.name for watch in settings.watch])
    lately = recent(engine, now)
    disks = disk_space(disk_folders(settings))
    missing = {watch.name: watch.path for watch in settings.watch if not os.path.isdir(watch.path)}  # noqa: PTH112
    left_out = read_left_out(settings)
    if as_json:
        watches = [
            {
                **asdict(watch),
                "missing": watch.watch in missing,
                "oldest_queued_s": _seconds(watch, now),
                "left_out": asdict(left_out[watch.watch]) if watch.watch in left_out else None,
            }
            for watch in found.watches
        ]
        figures = {"recent": asdict(lately), "disks": [asdict(disk) for disk in disks]}
        output.write_json_lines([{**asdict(found), "watches": watches, **figures}])
        return
    columns = ("watch", *STATES, "oldest queued", "last verdict", "model")
    output.write_table(
        columns, (tuple(_cells(watch, now)) for watch in found.watches), right=(*STATES, "oldest queued")
    )
    output.say("")
    output.say(f"Last verdict: {output.local_time(found.last_verdict_at) or 'none yet'}")
    if found.reinspecting:
        output.say(f"Waiting:      {found.reinspecting:,} earlier images to be judged again")
    for line in (*_of_watches(found.watches, missing, left_out), *_lately(lately), *map(_free, disks)):
        output.say(line)
    if found.events:
        output.say("")
        rows = ((event.kind, output.local_time(event.at), event.detail) for event in found.events)
        output.write_table(("last", "at", "detail"), rows)


def _cells(watch: "WatchStatus", now: datetime) -> Iterator[str]:
    yield watch.watch if watch.configured else f"{watch.watch} (not configured)"
    yield from (str(watch.counts[state]) for state in STATES)
    waited = _seconds(watch, now)
    yield "" if waited is None else age(waited)
    yield output.local_time(watch.last_verdict_at)
    yield f"{watch.model} (version {watch.version})" if watch.model else ""


def _of_watches(
    watches: Sequence["WatchStatus"], missing: Mapping[str, Path], left_out: Mapping[str, "LeftOut"]
) -> Iterator[str]:
    """Lines about missing folders, waiting files, brightness and files left out, by watch."""
    for name, path in missing.items():
        yield f"Missing:      the folder of {name}, {path}; its images are inspected when it is there"
    if pending := sum(watch.after_pending for watch in watches):
        waiting = sum(watch.after_waiting for watch in watches)
        unfinished = f", {waiting:,} of them when they have stayed unchanged for long enough" if waiting else ""
        yield f"After:        {pending:,} files to be moved or deleted{unfinished}"
    for watch in watches:
        if watch.brightness:
            yield f"Brightness:   watch {watch.watch}: {watch.brightness}"
    for watch in watches:
        if left_out.get(watch.watch):
            yield f"Left out:     {watch.watch}: {left_out[watch.watch]}"


def _lately(recent: "RecentFigures") -> Iterator[str]:
    """Lines about the last 24 hours."""
    outcomes = ", ".join(f"{number} {outcome}" for outcome, number in recent.outcomes.items())
    reasons = ", ".join(f"{number} {code}" for code, number in recent.failures.items())
    yield f"Last 24 h:    {outcomes}" + (f" ({reasons})" if reasons else "")
    restarts = ", ".join(f"{number} {kind}" for kind, number in recent.restarts.items())
    yield f"              workers restarted: {restarts}; leases expired: {recent.expired_leases}"
    if recent.latency:
        whole = recent.latency
        yield f"Latency:      p50 {whole.p50:.3g} s, p95 {whole.p95:.3g} s of the last {recent.sample} verdicts"
        stages = (
            f"{stage} {found.p50 * 1e3:.1f} ms, {found.p95 * 1e3:.1f} ms" for stage, found in recent.stages.items()
        )
        yield f"Stages:       (p50, p95) {'; '.join(stages)}"


def _free(space: "DiskSpace") -> str:
    files = "" if space.inodes is None else f" and {space.inodes:,} files"
    return f"Free:         {size_text(space.bytes)}{files} for the {space.place}"


def _seconds(watch: "WatchStatus", now: datetime) -> float | None:
    """How long the oldest queued image has waited; 0 if the clock was set back meanwhile."""
    if watch.oldest_queued_at is None:
        return None
    return max(0.0, round((now - datetime.fromisoformat(watch.oldest_queued_at)).total_seconds(), 3))


def age(seconds: float) -> str:
    """A time span in the largest unit with a value of at least 2: 119 s, 2 min, 47 h, 2 d."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
