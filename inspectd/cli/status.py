"""`inspectd status`: what stands now, from the ledger alone."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from inspectd.cli import output
from inspectd.cli.lookup import open_ledger
from inspectd.cli.options import ConfigOption, JsonOption

if TYPE_CHECKING:
    from inspectd.ledger.recent import Recent
    from inspectd.ledger.status import WatchStatus
    from inspectd.service.space import Space

STATES = ("queued", "claimed", "settling", "stalled", "done", "failed")
_UNITS = ((86400, "d"), (3600, "h"), (60, "min"))


def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show what stands now: images by watch and state, models in use, the last 24 hours, and what last happened.

    It is what the ledger knows, whether the daemon runs or not. Times are local in the table, UTC in JSON.
    """
    settings, engine = open_ledger(config)
    from inspectd.ledger.recent import recent
    from inspectd.ledger.status import status as query
    from inspectd.service.space import places, spaces

    now = datetime.now(UTC)
    found = query(engine, [watch.name for watch in settings.watch])
    lately = recent(engine, now)
    disks = spaces(places(settings))
    if as_json:
        watches = [{**asdict(watch), "oldest_queued_s": _seconds(watch, now)} for watch in found.watches]
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
        output.say(f"Waiting:      {found.reinspecting:,} past images to be judged again")
    for watch in found.watches:
        if watch.brightness:
            output.say(f"Brightness:   watch {watch.watch}: {watch.brightness}")
    for line in (*_lately(lately), *map(_free, disks)):
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


def _lately(recent: "Recent") -> Iterator[str]:
    """The last hours in a few lines."""
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


def _free(space: "Space") -> str:
    files = "" if space.inodes is None else f" and {space.inodes:,} files"
    return f"Free:         {space.bytes / 1e9:.1f} GB{files} for the {space.place}"


def _seconds(watch: "WatchStatus", now: datetime) -> float | None:
    """How long the oldest queued image has waited; 0 where the clock was set back meanwhile."""
    if watch.oldest_queued_at is None:
        return None
    return max(0.0, round((now - datetime.fromisoformat(watch.oldest_queued_at)).total_seconds(), 3))


def age(seconds: float) -> str:
    """A span in the largest unit of which there are two: 119 s, 2 min, 47 h, 2 d."""
    for size, unit in _UNITS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
